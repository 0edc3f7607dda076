/** What: cuts a stream into lines of bounded length. */
import type { Socket } from 'node:net';

/**
 * Calls `onLine` for each line of `socket`. A line above `bytesMax` destroys the socket: what
 * follows has no beginning any more.
 */
export function readLines(socket: Socket, bytesMax: number, onLine: (line: string) => void): void {
  let pieces: Buffer[] = [];
  let held = 0;
  socket.on('data', (data: Buffer) => {
    let rest = data;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      if (held + end > bytesMax) break;
      const line = Buffer.concat([...pieces, rest.subarray(0, end)]).toString('utf8');
      pieces = [];
      held = 0;
      rest = rest.subarray(end + 1);
      onLine(line);
      if (socket.destroyed) return;
    }
    held += rest.length;
    if (held > bytesMax) socket.destroy(new Error(`a line of more than ${bytesMax} bytes`));
    else if (rest.length > 0) pieces.push(rest);
  });
}
