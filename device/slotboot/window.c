/* The exec window and its log (FORMATS, window log): at most one entry of the log is a valid HELD, and it is true. */
#include "rom.h"
#include "slotboot.h"

enum { ENTRY_WORDS = 4, ENTRY = ENTRY_WORDS * WORD, HELD = 'H', WORTH = 8 };

/* 0: the last entry of the log that is not blank says that the window holds this image; a full log says nothing. */
u32 window_lacks(const struct slot *it)
{
    word *log = buffers->log, *held = board->held;
    u32 used = SECTOR_WORDS;

    /* The kind, the first 7 bytes of the digest, the seal. */
    held[0] = HELD | it->sha256[0] << 8;
    held[1] = it->sha256[0] >> 24 | it->sha256[1] << 8;
    seal(held, 2 * WORD);
    /* A log that cannot be read says nothing, and nothing is copied then. */
    board->log_used = BLANK;
    if (flash_read(board->map.window_log, log, SECTOR))
        return 1;
    while (used > 0 && log[used - 1] == BLANK)
        used--;
    used = (used * WORD + ENTRY - 1) & -(u32)ENTRY;
    board->log_used = used;
    /* Blank or full. */
    if (used % SECTOR == 0)
        return 1;
    return differs(log + used / WORD - ENTRY_WORDS, held, ENTRY);
}

/* From here on nothing may say what the window holds. Entries that are not the last count for nothing today, but a torn erase of
 * the log could blank what follows them and bring them back: all of them go, and are seen to be gone. */
static u32 forget_held(void)
{
    u32 at = board->map.window_log;
    word *entry = buffers->log;

    if (board->log_used == BLANK)
        return 1;
    do {
        if ((entry[0] & 0xFF) == HELD && !unsealed(entry, 2 * WORD)) {
            entry[0] = entry[1] = entry[2] = entry[3] = 0;
            if (flash_program(at, entry, ENTRY))
                return 1;
        }
        at += ENTRY;
        entry += ENTRY_WORDS;
    } while (at % SECTOR != 0);
    return 0;
}

/* Erase the 64 KB block of the window that begins here if it is faster: if WORTH sectors of it differ (README). 0: it was not
 * erased. What is read wrong costs time, no more. */
static u32 erase_block(u32 from, u32 to)
{
    u32 differing = WORTH;

    do {
        flash_read(from, buffers->sector, SECTOR);
        if (flash_differs(to, buffers->sector, SECTOR))
            if (--differing == 0) {
                SPIEraseBlock(to / BLOCK);
                return 1;
            }
        from += SECTOR;
        to += SECTOR;
    } while (to % BLOCK != 0);
    return 0;
}

/* A whole sector of the slot, also where the image ends in it. One that is right is neither erased nor written; several reads must
 * say it, for a bit that reads both ways may be right once. One that is `erased` is not erased first. */
static u32 copy_sector(u32 from, u32 to, u32 erased)
{
    word *sector = buffers->sector;
    u32 tries = TRIES, differs;

    if (flash_read(from, sector, SECTOR))
        return 1;
    do {
        differs = flash_differs(to, sector, SECTOR);
    } while (!differs && --tries);
    for (tries = TRIES; differs && tries > 0; tries--) {
        if (!erased)
            SPIEraseSector(to / SECTOR);
        erased = 0;
        differs = flash_program(to, sector, SECTOR);
    }
    return differs;
}

/* Make the window the irom of this image; failure is no verdict on the image. */
u32 fill_window(const struct slot *it)
{
    u32 to = board->map.window, from = it->image_at + board->map.irom_offset, end = it->image_at + it->length;

    if (end - from > board->map.window_bytes)
        return 1;
    /* The copy is counted before it begins, so that cuts in a row come to an end. */
    if (board->why == TRIAL && count_set(board->cell.spent) == 0 && spend(board->cell.copied))
        return 1;
    if (forget_held())
        return 1;
    for (u32 erased = 0; from < end; from += SECTOR, to += SECTOR) {
        /* A whole block of this image: it ends within the window, as the image does. */
        if (to % BLOCK == 0)
            erased = opaque((end - from) / BLOCK) && erase_block(from, to);
        if (copy_sector(from, to, erased))
            return 1;
    }
    return 0;
}

/* The window holds the image that window_lacks() asked for last. Failure is no harm: unknown means compare and copy once more. */
void say_held(void)
{
    if (opaque(board->log_used / SECTOR) == 0)
        flash_program(board->map.window_log + board->log_used, board->held, ENTRY);
}
