/* The tail of the RTC memory (FORMATS, RTC tail): what the boot before left, and what this one leaves to Python. */
#include "rom.h"
#include "slotboot.h"

struct tail {
    word retained[2];
    word magic;
    word slot_trial_left_why; /* bytes */
    word counter, reason_reached_at, seal[2], note, schedule;
};

#define TAIL ((struct tail *)opaque(0x600013D8))
/* FORMATS, reset reason: what the SDK that ran before wrote before it restarted; a running one has set all words to 0. */
#define RESTART_INFO ((struct restart_info *)0x60001100)

struct restart_info {
    word reason, exception[5], mark;
};

enum { TAIL_MAGIC = 0x32525332, /* 2SR2 */ SEALED = 16 };

/* Reset reasons in the SDK's numbers. */
enum { POWER, HARDWARE_WATCHDOG, EXCEPTION, SOFTWARE_WATCHDOG, RESTART, DEEP_SLEEP, RESET_PIN };

/* From the right, for each cause that the ROM knows: 1 power, 2 reset pin, 4 hardware watchdog, 5 deep sleep, 6 another. */
#define reason_of_cause 0x66516606u

/* FORMATS, end of an attempt. From the right, for each reset reason: power lost, the two watchdogs and the exception between them, a restart
 * without a note, deep sleep, reset pin. */
#define end_of_reason 0x7984321u

/* After a power-on the RTC memory holds noise. */
void read_tail(void)
{
    u32 cause = rtc_get_reset_reason(), reason = RESTART_INFO->reason, most = DEEP_SLEEP;

    /* A restart by the SDK is a jump: the ROM goes on to tell what the hardware did last. */
    if (cause == 1)
        most = RESTART;
    if (reason - EXCEPTION > most - EXCEPTION || RESTART_INFO->mark == TAIL_MAGIC)
        reason = reason_of_cause >> 4 * cause & 0xF;
    board->reset_reason = reason;
    board->tail_is_noise = (TAIL->magic ^ TAIL_MAGIC) | unsealed(&TAIL->magic, SEALED);
}

u32 booted_another(const struct slot *it)
{
    return board->tail_is_noise | ((TAIL->slot_trial_left_why & 0xFF) ^ it->index) | (TAIL->counter ^ it->counter);
}

u32 how_it_ended(void)
{
    enum { POWER_LOST = 1, DEADLINE = 5, IMPORT_FAILED = 6 };
    u32 reason = board->reset_reason, note = TAIL->note;

    if (board->tail_is_noise)
        return POWER_LOST;
    if (reason == RESTART && note - DEADLINE <= IMPORT_FAILED - DEADLINE)
        return note;
    return end_of_reason >> 4 * reason & 0xF;
}

void leave_tail(const struct slot *it, u32 attempts_left)
{
    u32 why = board->why, trial = 0, reached_at = 0;

    if (why == TRIAL) {
        trial = 1 << 8;
        reached_at = board->cell_at + offsetof(struct cell, reached);
    }
    TAIL->magic = TAIL_MAGIC;
    TAIL->slot_trial_left_why = it->index | trial | attempts_left << 16 | why << 24;
    TAIL->counter = it->counter;
    TAIL->reason_reached_at = board->reset_reason | reached_at << 8;
    seal(&TAIL->magic, SEALED);
    TAIL->note = 0;
    RESTART_INFO->mark = TAIL_MAGIC;
    if (board->tail_is_noise)
        TAIL->retained[0] = TAIL->retained[1] = TAIL->schedule = 0;
}
