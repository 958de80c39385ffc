/* A boot ROM for QEMU's `-M sim -cpu lx106`: enough of the ESP8266's to run the loader in a flash file, once.
 *
 * The host writes a job file; flash operations go to the flash file word by word, and power can go at each of them. What the
 * loader left at its jump (a hardware breakpoint at the entry that the host expects) is written behind the job. All
 * that belongs to this program lies at 0x66000000, where the chip has nothing.
 */
#include <stdarg.h>
#include <stdint.h>

typedef uint32_t u32;

enum { JUMPED = 1, TRAPPED, RETURNED, NOTHING_BOOTS, CUT, REFUSED };
enum { BEFORE, TORN, AFTER };
enum { SECTOR = 4096, BLOCK = 65536, PIECE = 256, RTC_WORDS = 192 };

static struct {
    u32 entry, hardware_cause, cut, mode, seed, patience_us;
    u32 registers[16];
    u32 rtc[RTC_WORDS];
} job;

static struct {
    u32 what, pc, cause, address, sp, steps, chip_size, console_bytes;
} result;

static char console[4096];
static int flash_file, job_file;
static u32 waited_us;

#define FLASHCHIP ((volatile u32 *)0x3FFFC714)
#define RTC ((volatile u32 *)0x60001100)

void enter_loader(u32 entry, const u32 *registers);

static int simcall(int number, int a, int b, int c)
{
    register int a2 __asm__("a2") = number;
    register int a3 __asm__("a3") = a;
    register int a4 __asm__("a4") = b;
    register int a5 __asm__("a5") = c;
    __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
    return a2;
}

static void quit(int code)
{
    simcall(1, code, 0, 0);
    for (;;)
        ;
}

static void transfer(int read, int file, u32 at, volatile void *data, u32 bytes)
{
    if (simcall(19, file, at, 0) < 0 || simcall(read ? 3 : 4, file, (int)data, bytes) != (int)bytes)
        quit(2);
}

/* Everything goes behind the job: result, console, RTC memory, instruction RAM, data RAM. */
void finish_at(u32 what, u32 pc, u32 cause, u32 address, u32 sp)
{
    u32 at = sizeof job;

    result.what = what;
    result.pc = pc;
    result.cause = cause;
    result.address = address;
    result.sp = sp;
    result.chip_size = FLASHCHIP[2];
    transfer(0, job_file, at, &result, sizeof result), at += sizeof result;
    transfer(0, job_file, at, console, sizeof console), at += sizeof console;
    transfer(0, job_file, at, RTC, sizeof job.rtc), at += sizeof job.rtc;
    transfer(0, job_file, at, (void *)0x40100000, 0x10000), at += 0x10000;
    transfer(0, job_file, at, (void *)0x3FFE8000, 0x18000);
    quit(0);
}

void finish(u32 what, u32 pc)
{
    finish_at(what, pc, 0, 0, 0);
}

static u32 noise(void)
{
    job.seed ^= job.seed << 13, job.seed ^= job.seed >> 17, job.seed ^= job.seed << 5;
    return job.seed;
}

/* Flash */

static int out_of_bounds(u32 at, u32 bytes)
{
    return at + bytes > FLASHCHIP[2] || at + bytes < at;
}

static u32 flash_word(u32 at)
{
    u32 word;
    transfer(1, flash_file, at, &word, 4);
    return word;
}

static void put_word(u32 at, u32 word)
{
    transfer(0, flash_file, at, &word, 4);
}

/* Whether power goes in this step, in the middle of it. */
static int step(void)
{
    int now = result.steps++ == job.cut;

    if (now && job.mode == BEFORE)
        finish(CUT, 0);
    return now;
}

u32 SPIRead(u32 at, u32 *to, u32 bytes)
{
    if ((u32)to & 3 || at & 3)
        finish(REFUSED, at);
    if (out_of_bounds(at, bytes))
        return 1;
    transfer(1, flash_file, at, to, (bytes + 3) & ~3u);
    return 0;
}

u32 SPIWrite(u32 at, const u32 *from, u32 bytes)
{
    if ((u32)from & 3 || at & 3 || bytes & 3)
        finish(REFUSED, at);
    if (out_of_bounds(at, bytes))
        return 1;
    for (u32 i = 0; i < bytes / 4; i++) {
        u32 old = flash_word(at + 4 * i);
        int cut = step();
        if (from[i] & ~old)
            finish(REFUSED, at + 4 * i);
        put_word(at + 4 * i, cut && job.mode == TORN ? old & (from[i] | noise()) : from[i]);
        if (cut)
            finish(CUT, 0);
    }
    return 0;
}

/* Pieces of an erase, one after the other; torn, the one that was under way holds noise. */
static void erase(u32 at, u32 end)
{
    static u32 piece[PIECE / 4];

    for (; at < end; at += PIECE) {
        int cut = step();
        for (u32 i = 0; i < PIECE / 4; i++)
            piece[i] = cut && job.mode == TORN ? noise() : 0xFFFFFFFF;
        transfer(0, flash_file, at, piece, PIECE);
        if (cut)
            finish(CUT, 0);
    }
}

u32 SPIEraseSector(u32 sector)
{
    if (sector >= FLASHCHIP[2] / SECTOR)
        return 1;
    erase(sector * SECTOR, (sector + 1) * SECTOR);
    return 0;
}

u32 SPIEraseBlock(u32 block)
{
    if (block >= FLASHCHIP[2] / BLOCK)
        return 1;
    erase(block * BLOCK, (block + 1) * BLOCK);
    return 0;
}

/* The rest */

void ets_putc(u32 character)
{
    if (result.console_bytes < sizeof console)
        console[result.console_bytes++] = (char)character;
}

static void put_number(u32 number)
{
    static const u32 powers[] = {1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1};
    int begun = 0;

    for (u32 i = 0; i < 10; i++) {
        char digit = '0';
        for (; number >= powers[i]; number -= powers[i])
            digit++;
        begun |= digit != '0' || i == 9;
        if (begun)
            ets_putc(digit);
    }
}

void ets_printf(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    for (; *format != 0; format++) {
        if (*format != '%')
            ets_putc(*format);
        else if (*++format == 'c')
            ets_putc(va_arg(arguments, u32));
        else if (*format == 'u')
            put_number(va_arg(arguments, u32));
        else
            finish(REFUSED, (u32)format);
    }
    va_end(arguments);
}

void ets_delay_us(u32 us)
{
    waited_us += us;
    if (waited_us >= job.patience_us)
        finish(NOTHING_BOOTS, 0);
}

u32 rtc_get_reset_reason(void)
{
    return job.hardware_cause;
}

/* MD5 (RFC 1321). */

struct md5 {
    u32 state[4], bytes;
    unsigned char block[64];
};

static const unsigned char turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
static const u32 sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static void md5_block(struct md5 *md5)
{
    const u32 *m = (const u32 *)md5->block;
    u32 a = md5->state[0], b = md5->state[1], c = md5->state[2], d = md5->state[3];

    for (u32 i = 0; i < 64; i++) {
        u32 f = i < 16 ? (b & c) | (~b & d) : i < 32 ? (d & b) | (~d & c) : i < 48 ? b ^ c ^ d : c ^ (b | ~d);
        u32 which = i < 16 ? i : i < 32 ? 5 * i + 1 : i < 48 ? 3 * i + 5 : 7 * i;
        u32 sum = a + f + sines[i] + m[which & 15], turn = turns[i / 16][i & 3];
        a = d, d = c, c = b;
        b += sum << turn | sum >> (32 - turn);
    }
    md5->state[0] += a, md5->state[1] += b, md5->state[2] += c, md5->state[3] += d;
}

void MD5Init(struct md5 *md5)
{
    md5->state[0] = 0x67452301, md5->state[1] = 0xefcdab89, md5->state[2] = 0x98badcfe, md5->state[3] = 0x10325476;
    md5->bytes = 0;
}

void MD5Update(struct md5 *md5, const unsigned char *data, u32 bytes)
{
    while (bytes-- > 0) {
        md5->block[md5->bytes++ & 63] = *data++;
        if ((md5->bytes & 63) == 0)
            md5_block(md5);
    }
}

void MD5Final(unsigned char digest[16], struct md5 *md5)
{
    u32 bits = md5->bytes << 3, high = md5->bytes >> 29;
    unsigned char byte = 0x80;

    do {
        MD5Update(md5, &byte, 1);
        byte = 0;
    } while ((md5->bytes & 63) != 56);
    MD5Update(md5, (unsigned char *)&bits, 4);
    MD5Update(md5, (unsigned char *)&high, 4);
    for (u32 i = 0; i < 16; i++)
        digest[i] = md5->state[i / 4] >> 8 * (i & 3);
}

/* Reset: what the first stage does with the image at flash offset 0. */

static u32 load_sector_0(void)
{
    static u32 sector[SECTOR / 4];
    u32 at = 8, checksum = 0xEF;

    SPIRead(0, sector, SECTOR);
    if ((sector[0] & 0xFF) != 0xE9)
        quit(3);
    for (u32 segments = sector[0] >> 8 & 0xFF; segments > 0; segments--) {
        volatile u32 *to = (u32 *)sector[at / 4];
        u32 words = sector[at / 4 + 1] / 4;
        for (at += 8; words > 0; words--, at += 4) {
            u32 value = sector[at / 4];
            *to++ = value;
            checksum ^= value ^ value >> 8 ^ value >> 16 ^ value >> 24;
        }
    }
    if (((unsigned char *)sector)[at | 15] != (checksum & 0xFF))
        quit(4);
    return sector[1];
}

static void fill(volatile u32 *from, volatile u32 *to)
{
    while (from < to)
        *from++ = noise();
}

void rom_main(void)
{
    static char *arguments[64];

    simcall(1002, (int)arguments, 0, 0);
    flash_file = simcall(5, (int)arguments[1], 2, 0);
    job_file = simcall(5, (int)arguments[2], 2, 0);
    transfer(1, job_file, 0, &job, sizeof job);
    fill((u32 *)0x3FFE8000, (u32 *)0x40000000);
    fill((u32 *)0x40100000, (u32 *)0x40110000);
    for (u32 i = 0; i < RTC_WORDS; i++)
        RTC[i] = job.rtc[i];
    FLASHCHIP[0] = (u32)(FLASHCHIP + 1);
    FLASHCHIP[1] = 0x1640EF, FLASHCHIP[2] = 0x400000, FLASHCHIP[3] = 0x10000;
    FLASHCHIP[4] = 0x1000, FLASHCHIP[5] = 0x100, FLASHCHIP[6] = 0xFFFF;
    __asm__ volatile("wsr %0, ibreaka0; wsr %1, ibreakenable; isync" : : "r"(job.entry), "r"(1));
    enter_loader(load_sector_0(), job.registers);
}
