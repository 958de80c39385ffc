/* Makes the next piece of an image from a patch (FORMATS, patch): device/twoslot/patch/interpreted.py as native
 * code of the chip, which is some fifty times as fast. Position-independent, without data and without calls of
 * anything else.
 *
 * What a patch says reaches memory in five places only, each marked "bounds". The caller guarantees what it
 * made itself: end <= 512, 0 <= start <= last <= bytes of data, 512 bytes of piece and chunk, numbers with room
 * for the map.
 */
#include "patch.h"

enum {
    CHUNK = 512,
    BLOCK = 4096,
    NUMBERS = 32, /* bytes of the numbers of an operation */
    POINTERS = 1,
    CALLS = 2,
    RAW = 4,
    FLASH_KEY = 0x200000,
    RAM_KEY = 0xFE8000
};

static i32 number(struct numbers *n, const u8 *data);
static i32 moved(const struct numbers *n, i32 key);
static void predict(struct numbers *n, u8 *chunk);

/* Go on with the piece until it is made or something is missing. */
i32 update(struct numbers *n, u8 *piece, u8 *chunk, const u8 *data)
{
    for (;;) {
        u32 count;
        const u8 *from;
        if (n->last - n->start < NUMBERS && !n->dry)
            return INPUT;
        if (n->edits) {
            if (!n->run) {
                i32 gap = number(n, data);
                if (gap < 0)
                    return UNUSABLE;
                n->spot += gap >> 2;
                gap &= 3;
                if (gap == 3) {
                    gap = number(n, data) + 3;
                    if (gap < 3)
                        return UNUSABLE;
                }
                n->run = gap + 1;
            }
            if ((u32)n->spot < (u32)n->at) {
                if (n->start == n->last)
                    return UNUSABLE;
                piece[n->spot++] += data[n->start++]; /* bounds: spot < at <= end, start < last */
                if (!--n->run)
                    n->edits--;
                else if (n->spot == n->at && (!n->copy || !((n->first + n->at) % BLOCK)))
                    return UNUSABLE;
                continue;
            }
            if (!n->copy)
                return UNUSABLE;
        }
        count = n->end - n->at;
        if (!count)
            return PIECE;
        if (n->copy) {
            i32 delta = n->first + n->at - n->old, in = n->old & (CHUNK - 1);
            if (n->missing && (n->base != n->old - in || (n->flags & CALLS && n->delta != delta)))
                return READ;
            if (n->flags & RAW)
                predict(n, chunk);
            from = chunk + in;
            if (count > (u32)n->copy)
                count = n->copy;
            if (count > (u32)(CHUNK - in))
                count = CHUNK - in;
            n->old += count;
            n->copy -= count;
        } else if (n->literals) {
            from = data + n->start;
            if (count > (u32)n->literals)
                count = n->literals;
            if (count > (u32)(n->last - n->start))
                count = n->last - n->start;
            if (!count)
                return UNUSABLE;
            n->start += count;
            n->literals -= count;
        } else {
            i32 all;
            n->copy = number(n, data);
            n->literals = number(n, data);
            all = n->copy + n->literals;
            if ((n->copy | n->literals) < 0 || (u32)(all - 1) >= (u32)(n->length - n->first - n->at))
                return UNUSABLE;
            if (n->copy) {
                i32 step = number(n, data);
                n->edits = number(n, data);
                n->old += step >> 1 ^ -(step & 1);
                if ((step | n->edits | n->old) < 0 || n->old > n->old_length - n->copy)
                    return UNUSABLE;
                n->spot = n->at;
            }
            continue;
        }
        /* Bounds: count is at most what is left of the piece, and of where the bytes are from. */
        for (u8 *to = piece + n->at; count; count--, n->at++)
            *to++ = *from++;
    }
}

/* Take the next number; -1 when it does not end. */
static i32 number(struct numbers *n, const u8 *data)
{
    i32 value = 0;
    for (u32 shift = 0; shift < 28; shift += 7) {
        u32 byte;
        if (n->start == n->last)
            break;
        byte = data[n->start++]; /* bounds: start < last */
        value |= (byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    return -1;
}

/* By how much the thing at this key moved: the shift of the last entry that is not above it. */
static i32 moved(const struct numbers *n, i32 key)
{
    u32 low = 0, high = n->count;
    while (low < high) {
        u32 middle = (low + high) >> 1;
        if (n->map[middle] <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? n->map[n->count + low - 1] : 0;
}

/* Make the chunk what it may be in the new image. */
static void predict(struct numbers *n, u8 *chunk)
{
    i32 end = n->old_length - n->base;
    if (end > CHUNK)
        end = CHUNK;
    if (n->flags & POINTERS)
        for (i32 at = 0; at + 4 <= end; at += 4) { /* bounds: at + 4 <= end <= 512, at a word */
            u32 *word = (u32 *)(void *)(chunk + at), top = *word >> 24, key = *word << 8 >> 8;
            if (top == 0x40 || (top == 0x3F && key >> 15 >= RAM_KEY >> 15))
                *word = top << 24 | (key + moved(n, key)) << 8 >> 8;
        }
    if (n->flags & CALLS)
        for (i32 at = 0; at + 3 <= end; at++) { /* bounds: at + 3 <= end <= 512 */
            u8 *call = chunk + at;
            i32 place = n->base + at, target;
            if ((call[0] & 63) != 5)
                continue;
            target = (call[0] >> 6 | call[1] << 2 | call[2] << 10) << 14;
            target = (place & ~3) + 4 + (target >> 12);
            if ((u32)target >= (u32)n->old_length)
                continue;
            target = (target + moved(n, target + FLASH_KEY) - ((place + n->delta) & ~3) - 4) >> 2;
            call[0] = 5 | target << 6;
            call[1] = target >> 2;
            call[2] = target >> 10;
            at += 2;
        }
    n->flags &= ~RAW;
}
