import { describeCommandLine } from '../support/cli-suite.js';
import { fakeMachineFile } from '../support/fake-machine.js';

describeCommandLine({
  name: 'stand-ins for mirror and guest',
  file: fakeMachineFile,
  arguments: [],
  guestParameters: '',
});
