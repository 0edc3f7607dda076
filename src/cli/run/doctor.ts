/** What: `pageferry doctor`: what it does. */
import { writeReport } from '../../observe/json.js';
import { makeStyle } from '../../observe/style.js';
import { diagnose } from '../doctor/checks.js';
import { gatherFacts } from '../doctor/facts.js';
import { renderDiagnosis } from '../doctor/render.js';
import { EXIT, type ExitCode } from '../exit-codes.js';

export async function doctor(options: { readonly json?: boolean }): Promise<ExitCode> {
  const diagnosis = diagnose(await gatherFacts());
  if (options.json === true) {
    writeReport(diagnosis);
  } else {
    const style = makeStyle({ isTerminal: process.stdout.isTTY, environment: process.env });
    process.stdout.write(renderDiagnosis(diagnosis, style));
  }
  return diagnosis.ok ? EXIT.completed : EXIT.failed;
}
