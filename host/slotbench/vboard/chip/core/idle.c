/* Waiting loops, found by what they do: skipped in virtual time, so that an idle board costs the host nothing.
 *
 * Now and then one iteration (from where the stack is shallowest back to the same place, stack and return
 * address) is run with a log of what
 * it overwrites. Then it is undone and run again a little later. A loop waits when its path stays the same and all
 * that it changed is different now: it comes from the clock, so nothing else moves on. A waiting loop is then run at
 * ever later times, as far as its path stays the same and no event is due; what would leave the loop is undone and
 * comes at its own time, to within GRAIN. An iteration that touches a device other than to read, or to feed the
 * watchdog, is none. At most STEP is skipped between two looks at what the loop does.
 */
#include <stdlib.h>

#include "chip.h"

enum {
    LEVELS = 4,
    GRAIN = 16 * CHIP_TICKS_PER_US, /* a multiple of every clock that a program can read: 1, 3.2 and 16 us */
    STEP = 512 * GRAIN,
    SOON = 500, LATER = 10000, LATEST = 160000, MISSES = 5
};

/* An iteration is given up when it is longer than so many instructions. */
static const u32 at_most[LEVELS] = {64, 600, 5000, 30000};

struct snapshot {
    u32 a[16], pc, ps, sar, intenable, interrupt, sr[256];
    u64 n, skipped;
    int waiting;
};

static void take(const struct chip *c, struct snapshot *s)
{
    memcpy(s->a, c->a, sizeof s->a);
    memcpy(s->sr, c->sr, sizeof s->sr);
    s->pc = c->pc, s->ps = c->ps, s->sar = c->sar, s->intenable = c->intenable, s->interrupt = c->interrupt;
    s->n = c->n, s->skipped = c->skipped, s->waiting = c->waiting;
}

/* Undo what was logged, and the registers. */
static void restore(struct chip *c, const struct snapshot *s)
{
    for (u32 i = c->idle.writes; i-- > 0;)
        memcpy(c->dram + c->undo[i].offset, &c->undo[i].old, 4);
    memcpy(c->a, s->a, sizeof s->a);
    memcpy(c->sr, s->sr, sizeof s->sr);
    c->pc = s->pc, c->ps = s->ps, c->sar = s->sar, c->intenable = s->intenable, c->interrupt = s->interrupt;
    c->n = s->n, c->skipped = s->skipped, c->waiting = s->waiting;
    c->stopped = 0;
}

/* Run from the anchor back to it; 1 when it came back without touching anything. */
static int iterate(struct chip *c, u64 end, u32 most)
{
    struct idle *idle = &c->idle;
    u64 first = c->n, cycles = (end - now(c)) / c->ticks_per_cycle;

    idle->writes = idle->path = 0;
    idle->dirty = idle->fed = idle->overflow = 0;
    idle->minimum_n = first + 1;
    c->limit = first + (cycles < most ? cycles : most);
    idle->tracing = 1;
    if (c->limit > first)
        cpu_trace(c);
    idle->tracing = 0;
    idle->minimum_n = NEVER;
    return !idle->dirty && !idle->overflow && !c->stopped && !c->waiting && c->n > first && c->pc == idle->anchor_pc
        && c->a[1] == idle->anchor_sp && c->a[0] == idle->anchor_a0;
}

static void fed(struct chip *c)
{
    if (c->idle.fed)
        wdt_feed(c);
}

/* What the iteration before left: its writes with what they left, its registers, length and path. */
struct trace {
    struct snapshot start, finish;
    u32 writes, path;
    u64 length;
};

static void note(struct chip *c, struct trace *t)
{
    take(c, &t->finish);
    t->writes = c->idle.writes;
    t->path = c->idle.path;
    t->length = c->n - t->start.n;
    for (u32 i = 0; i < t->writes; i++) {
        c->noted[i] = c->undo[i];
        memcpy(&c->noted[i].after, c->dram + c->undo[i].offset, 4);
    }
}

static int same_path(const struct chip *c, const struct trace *t)
{
    if (c->idle.path != t->path || c->n - t->start.n != t->length || c->idle.writes != t->writes)
        return 0;
    for (u32 i = 0; i < t->writes; i++)
        if (c->undo[i].offset != c->noted[i].offset)
            return 0;
    return 1;
}

/* Whether all that the first run changed came out differently in the second, which began later. */
static int only_clock_moves(const struct chip *c, const struct trace *t)
{
    u8 seen[DRAM_BYTES / 32];
    u32 word, value;

    for (int i = 0; i < 16; i++)
        if (t->start.a[i] != t->finish.a[i] && t->finish.a[i] == c->a[i])
            return 0;
    if (t->start.ps != t->finish.ps || t->finish.ps != c->ps || t->start.intenable != c->intenable)
        return 0;
    memset(seen, 0, sizeof seen);
    for (u32 i = 0; i < t->writes; i++) {
        word = c->noted[i].offset / 4;
        if (seen[word / 8] >> (word & 7) & 1)
            continue;
        seen[word / 8] |= (u8)(1 << (word & 7));
        memcpy(&value, c->dram + c->noted[i].offset, 4);
        if (c->noted[i].old != c->noted[i].after && c->noted[i].after == value)
            return 0;
    }
    return 1;
}

/* Put back what the first, real run left. */
static void redo(struct chip *c, const struct trace *t)
{
    c->idle.writes = c->idle.writes < UNDO_MOST ? c->idle.writes : UNDO_MOST;
    restore(c, &t->finish);
    for (u32 i = 0; i < t->writes; i++)
        memcpy(c->dram + c->noted[i].offset, &c->noted[i].after, 4);
}

/* From here on the loop waits: go on as far as its path stays. */
static void skip(struct chip *c, struct trace *t, u64 until, u32 most)
{
    u64 step = STEP, end;

    while (step >= GRAIN) {
        end = next_event(c);
        end = until < end ? until : end;
        if (end < now(c) + step + t->length * c->ticks_per_cycle + GRAIN) {
            step = step / 2 / GRAIN * GRAIN;
            continue;
        }
        take(c, &t->start);
        c->skipped += step / c->ticks_per_cycle;
        if (!iterate(c, end, most) || !same_path(c, t)) {
            restore(c, &t->start);
            step = step / 2 / GRAIN * GRAIN;
            continue;
        }
        fed(c);
    }
}

/* Watch for a while: where the stack is shallowest, there an iteration begins. 0 when a device was touched. */
static int find_anchor(struct chip *c, u64 end, u32 most)
{
    struct idle *idle = &c->idle;

    idle->best_sp = 0;
    idle->anchor_pc = 1;
    iterate(c, end, most);
    fed(c);
    if (idle->dirty || !idle->best_sp || c->stopped || c->waiting)
        return 0;
    idle->anchor_pc = idle->best_pc;
    idle->anchor_sp = idle->best_sp;
    idle->anchor_a0 = idle->best_a0;
    iterate(c, end, most);
    fed(c);
    return c->pc == idle->anchor_pc && c->a[1] == idle->anchor_sp && !c->stopped && !c->waiting;
}

static void look_later(struct chip *c, int found)
{
    struct idle *idle = &c->idle;

    if (found) {
        idle->misses = 0;
        idle->next_look = c->n + SOON;
        return;
    }
    idle->level = (idle->level + 1) % LEVELS;
    if (idle->misses < MISSES * LEVELS)
        idle->misses++;
    idle->next_look = c->n + ((u64)LATER << idle->misses / LEVELS);
}

void idle_look(struct chip *c, u64 end)
{
    struct idle *idle = &c->idle;
    u32 most = at_most[idle->level];
    struct trace t;
    int same;

    if (end - now(c) < 4 * GRAIN) {
        idle->next_look = c->n + SOON;
        return;
    }
    if (!find_anchor(c, end, most)) {
        look_later(c, 0);
        return;
    }
    take(c, &t.start);
    if (!iterate(c, end, most)) {
        fed(c);
        look_later(c, 0);
        return;
    }
    fed(c);
    note(c, &t);
    if (end < now(c) + t.length * c->ticks_per_cycle + 2 * GRAIN) {
        look_later(c, 0);
        return;
    }
    restore(c, &t.start);
    c->skipped += GRAIN / c->ticks_per_cycle;
    same = iterate(c, end, most) && same_path(c, &t);
    if (!same || !only_clock_moves(c, &t)) {
        redo(c, &t);
        look_later(c, 0);
        return;
    }
    fed(c);
    c->count.idle_skips++;
    look_later(c, 1);
    if (c->pause_idle) {
        stop(c, CHIP_IDLE, 0);
        c->idle_until = now(c) + STEP;
        return;
    }
    skip(c, &t, c->until, most);
    idle->next_look = c->n + SOON;
}
