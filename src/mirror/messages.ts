/** What: messages and tokens, sealed and opened by vCPU 0. */
import * as abi from '../native/abi.generated.js';
import { type Commander, type MessageReply, valueOf } from './commander.js';
import type { CheckedToken, MessageKind, OpenedMessage, SealedMessage } from './contract.js';
import { statusError } from './status.js';

const kinds: Readonly<Record<MessageKind, number>> = {
  control: abi.PF_KIND_CONTROL,
  'device-state': abi.PF_KIND_DEVICE_STATE,
  lane: abi.PF_KIND_LANE,
};

const notNew = [abi.PF_STATUS_DUPLICATE, abi.PF_STATUS_EARLY];

/** The device refuses empty and oversized input as a wrong request; from a peer it is a record. */
function checkRecord(record: Uint8Array): void {
  if (record.byteLength > 0 && record.byteLength <= abi.PF_RECORD_BYTES_MAX) return;
  throw statusError(abi.PF_STATUS_RECORD, abi.PF_FIELD_BYTES, record.byteLength);
}

function sealed(commander: Commander, reply: MessageReply): SealedMessage {
  if (valueOf(reply, 0) !== reply.output.byteLength) {
    throw commander.broken('a message of two lengths');
  }
  return { counter: valueOf(reply, 1), bytes: reply.output };
}

export async function sealMessage(
  commander: Commander,
  kind: MessageKind,
  plain: Uint8Array,
): Promise<SealedMessage> {
  const command = abi.PF_COMMAND_SEAL_MESSAGE;
  const args = [kinds[kind]];
  return sealed(
    commander,
    await commander.message({ command, args, input: [plain], hasOutput: true }),
  );
}

export async function openMessage(
  commander: Commander,
  record: Uint8Array,
): Promise<OpenedMessage> {
  checkRecord(record);
  const command = abi.PF_COMMAND_OPEN_MESSAGE;
  const reply = await commander.message({
    command,
    input: [record],
    hasOutput: true,
    accepts: notNew,
  });
  const counter = valueOf(reply, 1);
  if (reply.status === abi.PF_STATUS_DUPLICATE) return { outcome: 'duplicate', counter };
  if (reply.status === abi.PF_STATUS_EARLY) {
    return { outcome: 'early', expected: valueOf(reply, 3) };
  }
  return { outcome: 'opened', kind: kindOf(commander, reply), counter, bytes: reply.output };
}

function kindOf(commander: Commander, reply: MessageReply): MessageKind {
  const number = valueOf(reply, 2);
  for (const kind of ['control', 'device-state', 'lane'] as const) {
    if (kinds[kind] === number) return kind;
  }
  throw commander.broken(`a message of kind ${number}`);
}

/** Waits until no export is in flight, and lets none begin. */
export async function makeToken(
  commander: Commander,
  epoch: number,
  start: boolean,
): Promise<SealedMessage> {
  const command = abi.PF_COMMAND_TOKEN_MAKE;
  const flags = start ? abi.PF_TOKEN_F_START : 0;
  return sealed(
    commander,
    await commander.message({ command, flags, args: [epoch], hasOutput: true, isAlone: true }),
  );
}

export async function checkToken(commander: Commander, record: Uint8Array): Promise<CheckedToken> {
  checkRecord(record);
  const command = abi.PF_COMMAND_TOKEN_CHECK;
  const reply = await commander.message({ command, input: [record], accepts: notNew });
  if (reply.status === abi.PF_STATUS_DUPLICATE) return { outcome: 'duplicate' };
  if (reply.status === abi.PF_STATUS_EARLY) {
    return { outcome: 'early', missing: valueOf(reply, 3) };
  }
  const start = (valueOf(reply, 1) & abi.PF_TOKEN_F_START) !== 0;
  return { outcome: 'accepted', epoch: valueOf(reply, 0), start };
}
