/* What flash says: the map, the newest cell of the boot journal, the slot descriptors; and the open words set in them. slotboot
 * never erases here and never writes a cell (power-cuts.md, point 11). */
#include "slotboot.h"

enum {
    MAP_AT = 0xFB8,
    MAP_MAGIC = 0x314D5332,        /* 2SM1 */
    CELL_MAGIC = 0x324A5332,       /* 2SJ2 */
    DESCRIPTOR_MAGIC = 0x31445332, /* 2SD1 */
    JOURNAL_BYTES = 2 * SECTOR,
    MAP_BODY = 64,
    PAGE_BODY = 120,
};

/* 0: there is a sealed page of this kind. */
static u32 read_sealed(u32 at, word *to, u32 body, u32 magic)
{
    return flash_read(at, to, PAGE) || to[0] != magic || unsealed(to, body);
}

u32 read_map(void)
{
    return read_sealed(MAP_AT, &board->map.magic, MAP_BODY, MAP_MAGIC);
}

/* The valid cell with the highest sequence is the only one that counts. */
void read_journal(void)
{
    struct cell *page = &board->page, *cell = &board->cell;

    board->cell_at = 0;
    for (u32 at = board->map.journal, end = at + JOURNAL_BYTES; at < end; at += PAGE) {
        if (read_sealed(at, &page->magic, PAGE_BODY, CELL_MAGIC) || (board->cell_at != 0 && page->sequence <= cell->sequence))
            continue;
        copy(&cell->magic, &page->magic, PAGE);
        board->cell_at = at;
    }
}

void read_descriptors(void)
{
    struct slot *it = board->slot;

    for (u32 slot = 0; slot < 2; slot++, it++) {
        u32 at = board->map.page[slot].descriptor, standing = LOST;
        if (!read_sealed(at, &it->standing, PAGE_BODY, DESCRIPTOR_MAGIC) && (it->slot_form & 0xFF) == slot &&
            it->length - 1 < board->map.slot_bytes)
            standing = USABLE;
        it->standing = standing;
        it->index = slot;
        it->image_at = board->map.slot[slot];
        it->descriptor_at = at;
    }
}

/* Byte `index` of: active slot, state of A, state of B, attempts. */
u32 cell_byte(u32 index)
{
    return board->cell.active_states_attempts >> 8 * index & 0xFF;
}

/* Of the eight open words of one kind. */
u32 count_set(const word *words)
{
    u32 count = 0;

    for (u32 i = 0; i < 8; i++)
        if (*words++ != BLANK)
            count++;
    return count;
}

/* Program a word of the newest cell as it is in RAM. */
static u32 write_word(const word *it)
{
    return flash_program(board->cell_at + ((uintptr_t)it - (uintptr_t)&board->cell), it, WORD);
}

/* Set the next of eight open words of the cell. Not 0 when none can be set. */
u32 spend(word *words)
{
    for (u32 i = 0; i < 8; i++, words++)
        if (*words == BLANK) {
            *words = 0;
            return write_word(words);
        }
    return 1;
}

/* So that no later boot tries it, as long as another slot is there. */
void mark_bad(struct slot *it)
{
    word *bad = &it->bad;

    if (board->cell_at != 0)
        bad = &board->cell.bad[it->index];
    if (*bad != BLANK)
        return;
    *bad = 0;
    if (board->cell_at != 0)
        write_word(bad);
    else
        flash_program(it->descriptor_at + offsetof(struct slot, bad), bad, WORD);
}

/* How the last attempt of a trial ended is known only now. */
void write_end_of_attempt(void)
{
    word *spent = board->cell.ended;

    if (board->cell_at == 0 || board->cell.confirmed != BLANK || cell_byte(1 + cell_byte(0)) != READY)
        return;
    do {
        if (spent == board->cell.spent)
            return;
    } while (*--spent == BLANK);
    word *ended = spent + 8;
    if (*ended == BLANK) {
        *ended = how_it_ended();
        write_word(ended);
    }
}
