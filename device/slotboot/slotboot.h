/* slotboot: what its parts share. Bytes on flash and in RTC memory are those of FORMATS.md.
 *
 * Code, constants and the buffers for sectors lie in instruction RAM, which faults on any access but that of a whole, aligned
 * word. So everything here is words: a byte field is a shift, and no instruction of the binary loads or stores less
 * than a word (tests/loader/test_build.py reads its disassembly). Variables lie in data RAM, which is faster.
 */
#ifndef SLOTBOOT_H
#define SLOTBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t u32;

/* A word that is read and written as such: without `volatile` the compiler may narrow a masked load to one byte. */
typedef volatile u32 word;

enum {
    TRIES = 3,
    WORD = 4,
    PAGE = 256,
    SECTOR = 4096,
    BLOCK = 65536,
    SECTOR_WORDS = SECTOR / WORD,
};

#define BLANK 0xFFFFFFFFu

/* FORMATS, map table */
struct flash_map {
    word magic, journal, window_log;
    struct { word table, descriptor; } page[2];
    word slot[2], slot_bytes, window, window_bytes, fs_start, chip_bytes, visible_bytes, irom_offset, seal[2];
};

/* FORMATS, boot journal */
struct cell {
    word magic, sequence;
    word active_states_attempts; /* bytes: active slot, state of A, of B, attempts */
    word copies_report_rounds;   /* bytes */
    word counter[2], floor, for_python[23], seal[2];
    word spent[8], ended[8], copied[8], bad[2], confirmed, reached, unused[4];
};

/* What slotboot thinks of a slot. */
enum standing { LOST, FAILED, USABLE };

/* A slot: its descriptor as it was read (FORMATS, slot descriptor), but for the magic and the blank end of the page. */
struct slot {
    word standing, slot_form, counter, length, sha256[8], floor;
    word index, image_at, descriptor_at; /* what the page has here is for Python; in the first 64 bytes an access is shorter */
    word for_python[14], seal[2], confirmed, bad, unused[30];
};

_Static_assert(sizeof(struct flash_map) == 72, "FORMATS, map table");
_Static_assert(sizeof(struct cell) == PAGE && offsetof(struct cell, spent) == 128, "FORMATS, boot journal");
_Static_assert(sizeof(struct slot) == PAGE && offsetof(struct slot, confirmed) == 128, "FORMATS, slot descriptor");

enum state { EMPTY, READY, CONFIRMED, BAD };
enum form { E9 = 1, EA = 2 };

/* FORMATS, RTC tail: the row of the decision. A lower one goes first. */
enum why { ORDINARY = 1, TRIAL, FALLBACK, NO_JOURNAL_CONFIRMED, NO_JOURNAL_UNCONFIRMED, LAST_RESORT, NO_DESCRIPTOR, NOTHING };

/* All that slotboot knows and works with, between the ROM's data and the stack. Nothing clears it: each part is set before it is
 * looked at. */
struct board {
    /* image.c: what is being read */
    word reader_base, reader_length, reader_hashes, reader_at, reader_start, reader_ok;
    word irom_base; /* where the irom is read from, less its offset in the image: the slot, or the exec window */
    /* sha256.c */
    word hashed; /* bytes */
    word rest;   /* the last word when it is not whole */
    /* rtc.c */
    word tail_is_noise, reset_reason;
    /* decide.c */
    word why;
    /* main.c: where to jump */
    word entry;
    /* journal.c */
    word cell_at; /* where the newest valid cell lies, 0: there is none */
    /* window.c */
    word log_used; /* entries */
    word held[4];  /* the entry that says that the window holds the chosen image */
    struct flash_map map; /* followed by what the rest of a page overwrites when the map is read */
    /* A multiple of 256 is the cheapest address. */
    _Alignas(256) struct cell cell;
    struct slot slot[2];
    _Alignas(256) u32 digest[8];
    _Alignas(256) u32 schedule[64 + 16];
    _Alignas(256) u32 working[64 + 8];
    _Alignas(256) struct cell page;
    /* image.c: what the ROM's functions work on */
    struct md5 { u32 words[22]; } md5;
    u32 md5_found[4];
};

/* What does not fit there, in the instruction RAM below the code. */
struct sector_buffers {
    word log[SECTOR_WORDS], found[SECTOR_WORDS], sector[SECTOR_WORDS + 1];
};

/* In a register all the time (entry.S sets it to BOARD_AT): the address of each variable would cost seven bytes wherever it is used. */
register struct board *board __asm__("a15");

#define BOARD_AT 0x3FFFEC00u
#define buffers ((struct sector_buffers *)0x40108000)

_Static_assert(offsetof(struct board, digest) <= 1024, "reached by the offset in a load instruction");
_Static_assert(sizeof(struct board) <= 0xB00, "leaves 2 KB for the stack");
_Static_assert(sizeof(struct sector_buffers) <= 0x6000, "ends below the code");

/* A value that the compiler takes for unknown: it makes no literal of what it can compute, which is smaller here. */
static inline u32 opaque(u32 value)
{
    __asm__("" : "+r"(value));
    return value;
}

/* words.c */
void copy(word *to, const word *from, u32 bytes);
u32 differs(const word *one, const word *other, u32 bytes); /* 0: they are the same */

/* journal.c */
u32 read_map(void); /* 0: it is valid */
void read_journal(void);
void read_descriptors(void);
u32 cell_byte(u32 index);
u32 count_set(const word *words);
u32 spend(word *words); /* 0: the next one is set */
void mark_bad(struct slot *it);
void write_end_of_attempt(void);

/* decide.c: the slot, its row is in board->why; NULL when there is none. */
struct slot *decide(void);

/* image.c */
enum check { NO_CHECK, BY_DIGEST, BY_MD5 };
u32 load(struct slot *it, enum check check); /* the entry address, with the RAM segments in place; 0: not a valid image */
u32 load_once(struct slot *it, enum check check);
bool assume_stock_image(struct slot *it);

/* window.c */
u32 window_lacks(const struct slot *it); /* 0: it holds this image */
u32 fill_window(const struct slot *it); /* 0: it is filled */
void say_held(void);

/* rtc.c: the word from the boot before, and the one to Python. */
void read_tail(void);
u32 booted_another(const struct slot *it); /* 0: what booted last is this */
u32 how_it_ended(void);
void leave_tail(const struct slot *it, u32 attempts_left);

/* sha256.c: one digest at a time, in board->digest in the byte order of flash. Only the last piece may have a number of bytes
 * that is not a multiple of 4. */
void sha256_begin(void);
void sha256_add(const word *data, u32 bytes);
void sha256_end(void);
u32 unsealed(const word *body, u32 bytes); /* 0: the first 8 bytes of its digest follow it */
void seal(word *body, u32 bytes);

/* flash.c: offsets in bytes; whole words are read. As with the ROM's functions, 0 is success. */
u32 flash_read(u32 at, word *to, u32 bytes);
u32 flash_differs(u32 at, const word *wanted, u32 bytes);
u32 flash_program(u32 at, const word *from, u32 bytes); /* and read back */
void feed_watchdog(void);
void start_watchdog(void);

/* uart.c: what became of a slot ('A', 'B'), or of the board ('-'). README.md explains the numbers. */
enum error { STARTED, IMAGE_NOT_VALID, WINDOW_NOT_WRITTEN, ATTEMPT_NOT_WRITTEN, NOTHING_BOOTS, NO_FLASH_MAP };
void say(u32 slot, u32 counter, u32 why, enum error error);

#endif
