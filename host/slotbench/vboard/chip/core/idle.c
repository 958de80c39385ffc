/* Waiting loops. (Stub: looks again later.) */
#include "chip.h"

enum { LOOK_EVERY = 20000 };

void idle_look(struct chip *c, u64 until_tick)
{
    (void)until_tick;
    c->idle.next_look = c->n + LOOK_EVERY;
}
