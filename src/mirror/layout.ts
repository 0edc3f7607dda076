/**
 * What: where everything lies in the window. Pure arithmetic; offsets and sizes in bytes.
 *
 *   rings            vcpus x PF_RING_STRIDE
 *   request areas    vcpus x RING_COMMANDS x (request, response)
 *   list areas       vcpus x RING_COMMANDS x 4 KiB
 *   message area     input, output: PF_RECORD_BYTES_MAX each, for commands of vCPU 0
 *   record slots     SLOT_BYTES each
 */
import { PAGE_BYTES, RING_COMMANDS, roundUp, SLOT_BYTES, SLOTS_MIN } from '../limits.js';
import {
  PF_RECORD_LIST_BYTES_MAX,
  PF_REQUEST_BYTES,
  PF_RESPONSE_BYTES,
  PF_RING_STRIDE,
} from '../native/abi.generated.js';

/** The window comes in huge pages where there are any. */
const windowGranule = 2 * 1024 * 1024;
const entryBytes = PF_REQUEST_BYTES + PF_RESPONSE_BYTES;
const listBytes = roundUp(PF_RECORD_LIST_BYTES_MAX, PAGE_BYTES);

export interface WindowLayout {
  readonly messageInput: number;
  readonly messageOutput: number;
  readonly slots: number;
  readonly slotCount: number;
  readonly totalBytes: number;
  ring(vcpu: number): number;
  request(vcpu: number, entry: number): number;
  response(vcpu: number, entry: number): number;
  list(vcpu: number, entry: number): number;
}

/** The layout of a window with `slotMemory` bytes for records, and no fewer than two slots. */
export function windowLayout(vcpus: number, slotMemory: number): WindowLayout {
  const requests = vcpus * PF_RING_STRIDE;
  const lists = roundUp(requests + vcpus * RING_COMMANDS * entryBytes, PAGE_BYTES);
  const messageInput = lists + vcpus * RING_COMMANDS * listBytes;
  const messageOutput = messageInput + SLOT_BYTES;
  const slots = messageOutput + SLOT_BYTES;
  const slotCount = Math.max(SLOTS_MIN, Math.floor(slotMemory / SLOT_BYTES));
  const request = (vcpu: number, entry: number): number =>
    requests + (vcpu * RING_COMMANDS + entry) * entryBytes;
  return {
    messageInput,
    messageOutput,
    slots,
    slotCount,
    totalBytes: roundUp(slots + slotCount * SLOT_BYTES, windowGranule),
    ring: (vcpu) => vcpu * PF_RING_STRIDE,
    request,
    response: (vcpu, entry) => request(vcpu, entry) + PF_REQUEST_BYTES,
    list: (vcpu, entry) => lists + (vcpu * RING_COMMANDS + entry) * listBytes,
  };
}
