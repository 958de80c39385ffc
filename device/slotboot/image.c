/* The image of a slot: verified and loaded in one pass, so that what runs is what was verified. Layouts: FORMATS, image forms. */
#include "rom.h"
#include "slotboot.h"

enum {
    IRAM = 0x40100000, IRAM_BYTES = 0x8000, /* above lies slotboot, until the flash cache takes its place */
    DRAM = 0x3FFE8000, DRAM_BYTES = 0x14000, /* above lie the ROM's data and the stack */
    SEGMENTS_MAX = 16,
    LINE = 16,
    E9_RAM_END = 0x8FFC, /* where the length word of a stock image lies */
    E9_IROM = 0x9000,
    EA_HEADER = 16,
    EA_CRC = 4,
    MD5_BYTES = 16,
};

/* The next word of the image, hashed with all that is read. Goes on behind the end or an error, so that no loop hangs: `reader_ok`
 * says in the end whether the words count. */
static u32 next(void)
{
    u32 at = board->reader_at, start = at & ~(SECTOR - 1u), left = board->reader_length - start, value;

    board->reader_at = at + WORD;
    if (start != board->reader_start) {
        board->reader_start = start;
        if (left > SECTOR)
            left = SECTOR;
        if (at >= board->reader_length ||
            flash_read(start + (start < board->map.irom_offset ? board->reader_base : board->irom_base), buffers->sector, left))
            board->reader_ok = false;
        else if (board->reader_hashes)
            sha256_add(buffers->sector, left);
    }
    value = buffers->sector[at % SECTOR / WORD];
    /* Flashing tools rewrite the first word: it is not part of the MD5, which is itself the last 16 bytes. */
    if (board->reader_hashes == BY_MD5 && at - WORD < board->reader_length - MD5_BYTES - WORD)
        MD5Update(&board->md5, &value, WORD);
    return value;
}

/* Go on at offset `to`; what lies between is hashed too. */
static void skip(u32 to)
{
    if (!board->reader_hashes)
        board->reader_at = to;
    while (board->reader_at < to)
        next();
}

/* Header, RAM segments and checksum, which end before offset `limit`: the entry, or 0. Each segment is checked before a word
 * of it is stored; no sum here can wrap. */
static u32 load_ram(u32 limit)
{
    u32 header = next(), entry = next(), segments = header >> 8 & 0xFF, checksum = 0xEF, code = 0;

    if ((header & 0xFF) != 0xE9 || segments - 1 >= SEGMENTS_MAX || opaque((entry - IRAM) / IRAM_BYTES) != 0)
        return 0;
    do {
        u32 address = next(), size = next(), room;
        if (opaque((address - IRAM) / IRAM_BYTES) == 0)
            room = IRAM + IRAM_BYTES - address;
        else if (address - DRAM < DRAM_BYTES)
            room = DRAM + DRAM_BYTES - address;
        else
            return 0;
        if (size > room || ((address | size) & 3) || board->reader_at + size >= limit)
            return 0;
        /* The entry is in instruction RAM: so is the segment that holds it. */
        if (entry - address < size)
            code = entry;
        for (word *to = (word *)address; size > 0; size -= WORD)
            checksum ^= *to++ = next();
    } while (--segments > 0);
    while ((board->reader_at & (LINE - 1)) != LINE - WORD)
        next();
    checksum ^= checksum >> 16;
    checksum ^= checksum >> 8;
    checksum ^= next() >> 24;
    if (!board->reader_ok || board->reader_at > limit || (checksum & 0xFF) != 0)
        return 0;
    return code;
}

static u32 load_ea(void)
{
    u32 magic = next() & 0xFFFF;

    next();
    u32 address = next(), irom = next(), room = board->reader_length - EA_HEADER;
    if (magic != 0x04EA || address != 0 || irom % LINE || irom - 1 >= room - 1 || !board->reader_ok)
        return 0;
    skip(EA_HEADER + irom);
    return load_ram(board->reader_length - EA_CRC);
}

u32 load_once(struct slot *it, enum check check)
{
    u32 length = it->length, entry = 0;

    board->reader_base = it->image_at;
    board->reader_length = length;
    board->reader_hashes = check;
    board->reader_at = 0;
    board->reader_start = BLANK;
    board->reader_ok = true;
    sha256_begin();
    MD5Init(&board->md5);
    if (board->map.window == 0)
        entry = load_ea();
    else if (length > E9_IROM)
        entry = load_ram(E9_RAM_END);
    if (check == NO_CHECK || entry == 0)
        return entry;
    if (check == BY_MD5) {
        skip(length - MD5_BYTES);
        MD5Final(board->md5_found, &board->md5);
        for (u32 i = 0; i < MD5_BYTES / WORD; i++)
            if (next() != board->md5_found[i])
                return 0;
    }
    skip(length);
    sha256_end();
    if (check == BY_MD5)
        copy(it->sha256, board->digest, sizeof it->sha256);
    return differs(it->sha256, board->digest, sizeof it->sha256) ? 0 : entry;
}

/* Three reads before an image is believed wrong. One without a check is only loaded: its digest was right in a boot before. */
u32 load(struct slot *it, enum check check)
{
    u32 form = board->map.window == 0 ? EA : E9, entry = 0;

    if (it->slot_form >> 8 == form)
        for (u32 i = 0; i < TRIES && entry == 0; i++)
            entry = load_once(it, check);
    return entry;
}

/* What a descriptor would say of a stock image, which ends with its MD5; makeimg.py pads it to whole words. */
bool assume_stock_image(struct slot *it)
{
    if (flash_read(it->image_at + E9_RAM_END, &it->length, WORD))
        return false;
    it->length += MD5_BYTES;
    it->slot_form = it->index | E9 << 8;
    it->counter = 0;
    return it->length - E9_IROM <= board->map.slot_bytes - E9_IROM;
}
