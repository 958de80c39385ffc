/* What boots: the rows of boot-table.md, first match first. Rows are numbered in that order, so each slot is given the first row it
 * fits and the lower number wins. */
#include "slotboot.h"

/* The counter below which nothing runs. Without a journal, what the confirmed releases set. */
static u32 floor_of_board(void)
{
    u32 floor = 0;

    if (board->cell_at != 0)
        return board->cell.floor;
    for (struct slot *it = board->slot; it < &board->slot[2]; it++)
        if (it->standing != LOST && it->confirmed != BLANK && it->bad == BLANK && it->floor > floor)
            floor = it->floor;
    return floor;
}

/* The row of a slot whose counter is the cell's and which is not bad. */
static u32 row_by_journal(u32 slot, u32 state)
{
    const struct cell *cell = &board->cell;

    if (slot != cell_byte(0))
        return state == CONFIRMED ? FALLBACK : LAST_RESORT;
    if (state == READY && cell->confirmed == BLANK) {
        u32 spent = count_set(cell->spent);
        /* An attempt that never came as far as the boot hook is not made a second time. */
        if (spent >= cell_byte(3) || (spent > 0 && cell->reached == BLANK))
            return LAST_RESORT;
        /* Once an attempt was spent the copy is proven to be possible, and its budget is no longer asked. */
        return spent > 0 || count_set(cell->copied) < (cell->copies_report_rounds & 0xFF) ? TRIAL : LAST_RESORT;
    }
    return state == READY || state == CONFIRMED ? ORDINARY : LAST_RESORT;
}

/* A lower one goes first: the row; in one row, not bad, then confirmed. */
static u32 order_of(const struct slot *it)
{
    enum { IS_BAD = 2, IS_UNCONFIRMED = 1 };
    u32 order = 0, row = LAST_RESORT, slot = it->index, state = EMPTY;

    if (it->bad != BLANK)
        order = IS_BAD;
    if (board->cell_at != 0) {
        state = cell_byte(1 + slot);
        if (state == BAD || board->cell.bad[slot] != BLANK)
            order = IS_BAD;
        if (order == 0 && it->counter == board->cell.counter[slot])
            row = row_by_journal(slot, state);
    } else if (order == 0)
        row = it->confirmed != BLANK ? NO_JOURNAL_CONFIRMED : NO_JOURNAL_UNCONFIRMED;
    if (it->confirmed == BLANK && state != CONFIRMED)
        order += IS_UNCONFIRMED;
    return order + 4 * row;
}

struct slot *decide(void)
{
    struct slot *best = NULL;
    u32 floor = floor_of_board(), best_order = 4 * NOTHING;

    for (struct slot *it = board->slot; it < &board->slot[2]; it++) {
        if (it->standing != USABLE || it->counter < floor)
            continue;
        u32 order = order_of(it);
        /* Then the higher counter, then A. */
        if (order < best_order || (order == best_order && it->counter > best->counter)) {
            best = it;
            best_order = order;
        }
    }
    board->why = best_order / 4;
    return best;
}
