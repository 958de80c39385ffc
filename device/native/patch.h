#ifndef PATCH_H
#define PATCH_H

typedef unsigned char u8;
typedef int i32;
typedef unsigned u32;

enum { PIECE, INPUT, READ, UNUSABLE };

struct numbers {
    i32 copy, literals, edits, old, spot, run, at, end, start, last, dry, missing, first, length, old_length;
    i32 base, flags, delta, count, low, high, map[];
};

i32 update(struct numbers *n, u8 *piece, u8 *chunk, const u8 *data);

#endif
