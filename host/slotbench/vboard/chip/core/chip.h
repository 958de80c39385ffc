/* The chip's state, and what its parts ask of each other. */
#ifndef CHIP_H
#define CHIP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

enum {
    DRAM_BASE = 0x3FFE8000, DRAM_BYTES = 0x18000,
    SCRATCH_BASE = 0x3FFA0000, SCRATCH_BYTES = 0x20000,
    ROM_BASE = 0x40000000, ROM_BYTES = 0x10000,
    IRAM_BASE = 0x40100000, IRAM_BYTES = 0x10000,
    WINDOW_BASE = 0x40200000, MEGABYTE = 0x100000,
    DPORT_BASE = 0x3FF00000, DPORT_BYTES = 0x30000,
    IO_BASE = 0x60000000, IO_BYTES = 0x10000,
    PAGE_SHIFT = 14, CODE_PAGES = 0x300000 >> PAGE_SHIFT,
    SLACK = 2304, /* decoded slots before and behind a region: branches may leave it by 2 KB */
    SEQUENCE_BYTES = 40, /* a sequence of instructions that are run in one is shorter */
    MEGABYTES = 16,
    BREAKPOINTS = 32,
    UNDO_MOST = 16384,
    TX_RING = 1 << 16, RX_RING = 1 << 16, FIFO = 128,
    GPIOS = 17, HSPI_MISO = 12, HSPI_MOSI = 13, HSPI_CLOCK = 14, WIRES = 8, BUSES = 8, PLANS = 4096
};

#define NEVER UINT64_MAX

enum { /* EXCCAUSE */
    EXC_ILLEGAL = 0, EXC_SYSCALL = 1, EXC_FETCH = 2, EXC_LOAD_STORE = 3, EXC_LEVEL1 = 4, EXC_UNALIGNED = 9,
    EXC_FETCH_PROHIBITED = 20, EXC_LOAD_PROHIBITED = 28, EXC_STORE_PROHIBITED = 29
};
enum { /* interrupt numbers */
    INT_GPIO = 4, INT_UART = 5, INT_CCOMPARE = 6, INT_SOFTWARE = 7, INT_WATCHDOG = 8, INT_FRC1 = 9, INT_FRC2 = 10,
    INT_NMI = 14
};
enum {
    PS_INTLEVEL = 0xF, PS_EXCM = 0x10, PS_UM = 0x20,
    LEVEL1 = 0x3FFF
};

/* One decoded instruction; there is a slot for each byte of code. Code 0 is "not decoded yet". */
struct op {
    u8 code, r, s, t;
    i32 imm;
};

/* A stretch of code with its decoded slots. */
struct region {
    struct op *slots; /* allocation */
    struct op *ops;   /* of the first byte */
    u8 *mem;
    u32 pc, bytes;
};

struct uart {
    u8 rx[FIFO], tx_ring[TX_RING];
    u32 rx_head, rx_count;
    u32 tx_head, tx_count;
    u32 raw, enable, timed_out_for;
    u64 timeout_tick;
};

/* A word of data RAM that was overwritten. */
struct write {
    u32 offset, old, after;
};

/* An I2C or SPI bus with the host's parts on it; `answer` and `select` are SPI's, -1: there is none. */
enum { BUS_FREE, BUS_ADDRESS, BUS_HEARS, BUS_SENDS, BUS_ENDED };
struct bus {
    int kind, clock, data, answer, select, state, bits, pulls, acknowledged, fresh;
    u32 shift, out;
};

struct chip {
    /* The CPU. */
    u32 a[16];
    u32 pc, ps, sar, interrupt, intenable, level_sources;
    u64 n;      /* instructions executed */
    u64 limit;  /* leave the loop at the first jump after so many */
    u64 skipped;/* cycles that passed without instructions: cycles are n + skipped */
    u32 exc_cause, exc_address;
    u32 vecbase, litbase, ccount_offset;
    u32 sr[256];
    struct region *page[CODE_PAGES];
    struct region rom, iram, flash[MEGABYTES];
    u8 dram[DRAM_BYTES];
    u8 rom_mem[ROM_BYTES], iram_mem[IRAM_BYTES];
    u8 *scratch;
    struct chip_stop stop;
    int stopped, waiting, powered, pause_idle, stop_on_fault, stop_on_exception, stop_on_output;
    u32 breakpoint[BREAKPOINTS];
    int breakpoints;
    u32 stepping_over; /* the breakpoint that does not count now; 1: none */
    u32 stack_floor, stack_lowest;

    /* Time. */
    u64 base_tick, base_cycle;
    u32 ticks_per_cycle;
    u64 until;

    /* The flash. */
    u8 *flash_mem;
    u32 flash_bytes, flash_room, jedec_id, flash_status;
    u64 flash_busy_until;
    int flash_slow;
    struct chip_flash_calls flash_calls;
    void *flash_host;

    /* Peripherals. */
    u32 dport[DPORT_BYTES / 4], io[IO_BYTES / 4];
    struct uart uart[2];
    u8 rx_ring[RX_RING];
    u32 rx_ring_head, rx_ring_count;
    u64 rx_next_tick, rx_byte_ticks;
    u32 line_baud;
    struct { u64 base_tick, due; u32 load, value, period, ctrl, fired; } frc1;
    struct { u64 base_tick, due; u32 value, period, ctrl, alarm, fired; } frc2;
    u64 ccompare_due;
    struct { u64 due; u32 stage; } wdt;
    u64 wake_tick;
    u64 rtc_base_tick, mac_base_tick;
    u32 gpio_out, gpio_enable, gpio_status, gpio_open_drain, gpio_watching, gpio_driven, gpio_level, gpio_seen, gpio_own,
        gpio_chips;
    u32 straps, adc_level;
    struct { u64 high_ticks, since, edges; } pin[GPIOS];
    struct { int from, to; } wire[WIRES];
    struct bus bus[BUSES];
    struct { u64 tick; int gpio, level; } plan[PLANS];
    int wires, buses, plans;
    u32 watched;
    struct chip_part_calls part_calls;
    void *part_host;
    u64 random, seed;

    /* Waiting loops. */
    struct idle {
        int on, tracing, dirty, fed, overflow, called; /* called: to look around */
        u32 anchor_pc, anchor_a[16], same_registers, best_pc, best_sp, best_a0;
        u32 writes, misses, level;
        u64 minimum_n, next_look;
        u8 clock_words[DRAM_BYTES / 32];
    } idle;
    struct write *undo, *noted;
    u64 idle_until;

    struct chip_counters count;
    struct chip_exception exception;
};

/* sequences.c */
void decode_ahead(struct chip *, const struct region *, struct op *);

/* decode.c */
void decode(struct chip *, const struct region *, struct op *);
void forget_code(struct chip *, struct region *, u32 offset, u32 bytes);
int region_init(struct region *, u8 *mem, u32 pc, u32 bytes);
void region_forget_all(struct region *);
int is_breakpoint(const struct chip *, u32 pc);

/* cpu.c */
void cpu_run(struct chip *);    /* until c->limit or a reason to look around */
void cpu_trace(struct chip *);  /* the same, counting exactly and logging what it writes */
void cpu_reset(struct chip *);
int cpu_interrupts(struct chip *);
void cpu_exception(struct chip *, u32 pc);
u32 cpu_rsr(struct chip *, u32 number);
void cpu_wsr(struct chip *, u32 number, u32 value);

/* bus.c: 0 is done; else exc_cause and exc_address say what is wrong (or BUS_REFUSED while tracing) */
enum { BUS_DONE = 0, BUS_FAULT = 1, BUS_REFUSED = 2 };
int bus_load(struct chip *, u32 address, u32 bytes, u32 *value);
int bus_store(struct chip *, u32 address, u32 bytes, u32 value);
u32 fetch_cause(u32 pc);
void bus_map(struct chip *);
u8 *bus_memory(struct chip *, u32 address, u32 *room, struct region **);

/* api.c */
u64 now(const struct chip *);
void set_cpu_clock(struct chip *, u32 ticks_per_cycle);
void skip_to(struct chip *, u64 tick);
void look_around(struct chip *); /* leave the loop at the next jump: an event or an interrupt may be due */
void stop(struct chip *, u32 reason, u32 value);
void raise_edge(struct chip *, u32 interrupt);
void set_level(struct chip *, u32 interrupt, int on);
u64 next_event(struct chip *);
u32 next_random(struct chip *);
void fill_noise(struct chip *, u8 *, u32 bytes);

/* Devices: `at` is the offset from 0x60000000 or 0x3FF00000. */
u32 io_read(struct chip *, u32 at);
void io_write(struct chip *, u32 at, u32 value);
u32 dport_read(struct chip *, u32 at);
void dport_write(struct chip *, u32 at, u32 value);
int io_read_is_pure(u32 at);
int dport_read_is_pure(u32 at);
int io_write_is_idle(const struct chip *, u32 at, u32 value);

u32 uart_read(struct chip *, int uart, u32 at);
void uart_write(struct chip *, int uart, u32 at, u32 value);
void uart_events(struct chip *, u64 tick);
u64 uart_next(const struct chip *);
void uart_reset(struct chip *);

u32 spi_read(struct chip *, u32 at);
void spi_write(struct chip *, u32 at, u32 value);
void spi_reset(struct chip *);

u32 frc_read(struct chip *, u32 at);
void frc_write(struct chip *, u32 at, u32 value);
void timer_events(struct chip *, u64 tick);
u64 timer_next(const struct chip *);
void timer_reset(struct chip *);
void ccompare_plan(struct chip *);

u32 rtc_read(struct chip *, u32 at);
void rtc_write(struct chip *, u32 at, u32 value);
void rtc_reset(struct chip *, int cause);

void wdt_write(struct chip *, u32 at, u32 value);
u32 wdt_read(struct chip *, u32 at);
void wdt_events(struct chip *, u64 tick);
void wdt_feed(struct chip *);
void wdt_reset(struct chip *);

u32 gpio_read(struct chip *, u32 at);
void gpio_write(struct chip *, u32 at, u32 value);
void gpio_changed(struct chip *);
void gpio_reset(struct chip *);

void parts_see(struct chip *, u32 moved, u32 touched);
void parts_events(struct chip *, u64 tick);
u64 parts_next(const struct chip *);
u32 parts_exchange(struct chip *, u32 byte);

u32 hspi_read(struct chip *, u32 at);
void hspi_write(struct chip *, u32 at, u32 value);

int sar_reads(const struct chip *, u32 at, u32 *value);

/* idle.c */
void idle_look(struct chip *, u64 until_tick);
int idle_at_anchor(const struct chip *);

#endif
