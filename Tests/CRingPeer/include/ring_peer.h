// What a test needs that Swift cannot say: counting allocations, and giving up system calls.

#ifndef RING_PEER_H
#define RING_PEER_H

#include <stdint.h>

/// Calls of malloc, calloc and realloc in this process so far.
uint64_t ring_peer_allocations(void);
/// From now on any system call but read, write and exit ends the process.
int ring_peer_refuse_system_calls(void);
/// Ends the process where that is all that it still may.
void ring_peer_exit(int status);

#endif
