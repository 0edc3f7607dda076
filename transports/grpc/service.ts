/**
 * What: the service of lane.proto as @grpc/grpc-js wants it, with identity serializers, and the
 * options of both ends. A test holds it against the .proto.
 */
import type { ChannelOptions, ServiceDefinition } from '@grpc/grpc-js';

import { keepAliveDelayMs } from '../../src/transport/base/index.js';

const identity = (bytes: Buffer): Buffer => bytes;

export const CARRY_PATH = '/pageferry.lane.v1.LaneService/Carry';

export const laneService = {
  Carry: {
    path: CARRY_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
} as const satisfies ServiceDefinition;

/**
 * Largest message in bytes, sent or taken; larger frames cross in several. It bounds what an end
 * assembles before any of it can be looked at, and lifts gRPC's own limit of 4 MiB from frames.
 * The largest record's frame (1.07 MiB) fits into one, since each message costs some 20 us.
 */
export const MESSAGE_BYTES_MAX = 1280 * 1024;

/**
 * Bytes a lane has given to its call and HTTP/2 has not taken, beyond which it waits: two messages,
 * so that the next one is there when one has left. gRPC's own queue would hold sixteen.
 */
export const PENDING_BYTES_MAX = 2 * MESSAGE_BYTES_MAX;

/**
 * HTTP/2 flow-control window of each direction, of the connection and of its stream, in bytes: what
 * the receiver lets come unasked. HTTP/2's default of 64 KiB moves 3.5 MB/s over a round trip of
 * 10 ms; 8 MiB allow 800. A receiver whose sink does not take frames holds so much, per lane.
 */
export const WINDOW_BYTES = 8 * 1024 * 1024;

const keepAlive: ChannelOptions = {
  'grpc.keepalive_time_ms': keepAliveDelayMs,
  // Pings queue behind data: a slow line may need long to get one through.
  'grpc.keepalive_timeout_ms': 20_000,
};

export const clientOptions: ChannelOptions = {
  ...keepAlive,
  'grpc-node.flow_control_window': WINDOW_BYTES,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // Several channels: every lane has a connection of its own, closed together with it.
  'grpc.use_local_subchannel_pool': 1,
  // A lane is never retried by gRPC: it would keep, and send again, memory given back long ago.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
};

export const serverOptions: ChannelOptions = {
  ...keepAlive,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // A lane a connection; a proxy in between may put a few on one.
  'grpc.max_concurrent_streams': 16,
  'grpc.enable_channelz': 0,
};
