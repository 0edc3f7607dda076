/** What: the limits of control sockets: their clients are this user's, and may be broken. */

/** One request: a command and a few numbers. */
export const REQUEST_BYTES_MAX = 4096;

/** Clients at a time; a person looks with one or two. */
export const CLIENTS_MAX = 8;

/** Requests of one client: whoever watches asks once a second, for a day. */
export const REQUESTS_PER_CLIENT_MAX = 86_400;

/** A client that says nothing, or takes nothing, for so long is let go. */
export const CLIENT_IDLE_MS = 10_000;

/** Answers a client may leave unread before it is let go. */
export const UNREAD_BYTES_MAX = 16 * 1024 * 1024;

/** One answer, as a client takes it: a report with 100,000 rounds has 15 MB. */
export const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

/** How long a client waits for an answer; a session's event loop may be busy for a second. */
export const ANSWER_TIMEOUT_MS = 5_000;

/** Sockets looked at in the directory. */
export const SOCKETS_MAX = 1024;

/** sockaddr_un.sun_path, with its closing zero (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;
