/*
 * What: states, keys and their end.
 */
#ifndef PAGEFERRY_HELPER_SESSION_H
#define PAGEFERRY_HELPER_SESSION_H

#include "commands.h"

/* Derives all keys of a session and wipes prk (abi/handshake.h). */
void pf_session_open(struct pf_device *device, uint8_t prk[PF_HASH_BYTES]);
/* Keys, secrets, handshake: gone. The gate is held exclusive, or nobody else runs. */
void pf_session_wipe(struct pf_device *device);
/* The same once, after a violation, when nobody is inside the gate; otherwise the next to leave
 * comes here again. */
void pf_session_wipe_failed(struct pf_device *device);
/* Wipes what pages and codecs have left in the working memory of the vCPUs. */
void pf_session_wipe_staging(struct pf_device *device);

#endif
