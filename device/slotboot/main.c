/* The story of one boot: read what is known, decide, verify, fill the exec window, spend the attempt, hand over. */
#include "rom.h"
#include "slotboot.h"

enum { WAIT_STEPS = 229, WAIT_STEP_US = 1 << 17 }; /* 30 s together */

/* Everything between the decision and the jump. */
static enum error start_slot(struct slot *it)
{
    u32 why = board->why, attempts_left = 0;
    u32 lacks = board->map.window;
    enum check check = BY_DIGEST;

    if (lacks)
        lacks = window_lacks(it);
    it->standing = FAILED;
    board->irom_base = it->image_at;
    if (why == NO_DESCRIPTOR)
        check = BY_MD5;
    else if ((lacks | booted_another(it)) == 0)
        check = NO_CHECK;
    board->entry = load(it, check);
    if (board->entry == 0) {
        if (check != BY_MD5)
            mark_bad(it);
        return IMAGE_NOT_VALID;
    }
    /* Only now there is a digest that the window's may be compared with. */
    if (check == BY_MD5)
        lacks = window_lacks(it);
    if (lacks) {
        u32 copies = TRIES;

        board->irom_base = board->map.window - board->map.irom_offset;
        do {
            if (copies-- == 0 || fill_window(it))
                return WINDOW_NOT_WRITTEN;
            /* What runs is what is hashed: the RAM segments once more, and the irom as the window has it. */
            board->entry = load_once(it, BY_DIGEST);
        } while (board->entry == 0);
        say_held();
    }
    if (why == TRIAL) {
        /* The last word written before the jump: when power is cut until now, the image did not run. */
        if (spend(board->cell.spent))
            return ATTEMPT_NOT_WRITTEN;
        attempts_left = cell_byte(3) - count_set(board->cell.spent);
    }
    leave_tail(it, attempts_left);
    return STARTED;
}

static enum error start_and_say(struct slot *it)
{
    enum error error = start_slot(it);

    say('A' + it->index, it->counter, board->why, error);
    return error;
}

/* From the journal to the jump, once. */
static enum error try_slots(void)
{
    struct slot *it;

    read_tail();
    read_journal();
    read_descriptors();
    write_end_of_attempt();
    while ((it = decide()) != NULL)
        if (start_and_say(it) == STARTED)
            return STARTED;
    /* Nobody ever wrote a word about this board: a stock image says itself whether it is whole. */
    it = board->slot;
    if ((board->cell_at | it[0].standing | it[1].standing) == 0 && board->map.window != 0) {
        board->why = NO_DESCRIPTOR;
        for (; it < &board->slot[2]; it++)
            if (assume_stock_image(it) && start_and_say(it) == STARTED)
                return STARTED;
    }
    return NOTHING_BOOTS;
}

/* Called by entry.S, which jumps to the entry that it returns. */
__attribute__((externally_visible)) u32 slotboot(void);
u32 slotboot(void)
{
    start_watchdog();
    for (;;) {
        enum error error = NO_FLASH_MAP;

        if (!read_map()) {
            flashchip->size = board->map.chip_bytes;
            error = try_slots();
            if (error == STARTED) {
                flashchip->size = board->map.visible_bytes;
                return board->entry;
            }
        }
        say('-', 0, 0, error);
        for (u32 step = 0; step < WAIT_STEPS; step++) {
            feed_watchdog();
            ets_delay_us(WAIT_STEP_US);
        }
    }
}
