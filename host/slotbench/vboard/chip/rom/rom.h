/* What the parts of the boot ROM share: types, registers, and functions under the names of rom.txt. */
#ifndef TWOSLOT_ROM_H
#define TWOSLOT_ROM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef volatile u32 reg;

#define REG(address) (*(reg *)(address))

/* UART0 and UART1 */
#define UART(number, offset) REG(0x60000000 + 0xF00 * (number) + (offset))
enum {
    UART_FIFO = 0x00, UART_INT_ST = 0x08, UART_INT_ENA = 0x0C, UART_INT_CLR = 0x10, UART_CLKDIV = 0x14,
    UART_AUTOBAUD = 0x18, UART_STATUS = 0x1C, UART_CONF0 = 0x20, UART_CONF1 = 0x24, UART_LOWPULSE = 0x28,
    UART_HIGHPULSE = 0x2C, UART_PULSE_NUM = 0x30
};
#define UART_RX_COUNT(number) (UART(number, UART_STATUS) & 0xFF)
#define UART_TX_COUNT(number) (UART(number, UART_STATUS) >> 16 & 0xFF)
#define UART_INTERRUPT 5

/* GPIO, RTC, watchdog, cache */
#define GPIO_OUT_SET REG(0x60000304)
#define GPIO_OUT_CLEAR REG(0x60000308)
#define GPIO_ENABLE_SET REG(0x60000310)
#define GPIO_ENABLE_CLEAR REG(0x60000314)
#define GPIO_IN REG(0x60000318)
#define GPIO_STATUS REG(0x6000031C)
#define GPIO_STATUS_CLEAR REG(0x60000324)
#define GPIO_PIN(number) REG(0x60000328 + 4 * (number))
#define RTC_CONTROL REG(0x60000700)
#define RTC_STATE REG(0x60000714)
#define WDT_CONTROL REG(0x60000900)
#define WDT_STAGE_0 REG(0x60000904)
#define WDT_STAGE_1 REG(0x60000908)
#define WDT_FEED REG(0x60000914)
#define DPORT_EDGE_INTERRUPTS REG(0x3FF00004)
#define DPORT_CACHE REG(0x3FF0000C)
#define DPORT_IRAM_BANKS REG(0x3FF00024)

enum { OK = 0, FAIL = 1 };

/* The ROM's idea of the flash chip; the SDK and Python write it, and every flash function keeps to it. */
struct flashchip {
    u32 device_id, chip_size, block_size, sector_size, page_size, status_mask;
};
extern struct flashchip *flashchip;

/* The public header of the SDK's UART driver has this structure. */
struct uart_device {
    u32 baud_rate, data_bits, exist_parity, parity, stop_bits, flow_control;
    struct {
        u32 size;
        u8 *buffer, *write, *read;
        u32 trigger_level, state;
    } receive;
    struct {
        u32 size;
        u8 *buffer;
    } transmit;
    u32 receive_state, received, buffer_uart;
};
extern struct uart_device UartDev;

typedef void handler(void *argument);
typedef void put_function(char character);

/* Interrupts and exceptions */
u32 ets_intr_lock(void);
void ets_intr_unlock(void);
void ets_isr_attach(u32 number, handler *function, void *argument);
void ets_isr_mask(u32 mask);
void ets_isr_unmask(u32 mask);
void *_xtos_set_exception_handler(u32 cause, void *function);
void interrupts_reset(void);
void *_xtos_set_interrupt_handler_arg(u32 number, handler *function, void *argument);

/* UART and text */
u8 uart_tx_one_char(u8 character);
u32 uart_rx_one_char(u8 *character);
void uart_div_modify(u32 number, u32 divisor);
void uart_buff_switch(u32 number);
void uart_rx_intr_handler(void *argument);
void uartAttach(void);
void Uart_Init(u32 number);
u32 uart_baudrate_detect(u32 number, u32 wait);
int ets_putc(int character);
int ets_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int ets_vprintf(put_function *put, const char *format, va_list arguments);
void ets_install_uart_printf(void);

/* Memory and strings */
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
void *mem_malloc(size_t bytes);
void mem_free(void *block);

/* Flash */
u32 SPI_read_status(struct flashchip *chip, u32 *status);
u32 SPI_write_status(struct flashchip *chip, u32 status);
u32 SPI_write_enable(struct flashchip *chip);
u32 Wait_SPI_Idle(struct flashchip *chip);
u32 Enable_QMode(struct flashchip *chip);
u32 SPIRead(u32 at, u32 *to, u32 bytes);
u32 SPIWrite(u32 at, const u32 *from, u32 bytes);
u32 SPIEraseSector(u32 sector);
u32 SPIEraseBlock(u32 block);
u32 SPIEraseArea(u32 at, u32 bytes);
u32 SPIReadModeCnfig(u32 mode);
u32 SPIParamCfg(u32 id, u32 chip, u32 block, u32 sector, u32 page, u32 mask);
void SelectSpiFunction(void);
void spi_flash_attach(void);

/* Time, restarts, tasks */
void ets_delay_us(u32 us);
u32 ets_get_cpu_frequency(void);
u32 rtc_get_reset_reason(void);
void software_reset(void);
void _ets_run(void);

/* Digests. The contexts have the public sizes: 88 and 92 bytes. */
struct md5 {
    u32 state[4], bits[2];
    u8 block[64];
};
struct sha1 {
    u32 state[5], bits[2];
    u8 block[64];
};
void MD5Init(struct md5 *md5);
void MD5Update(struct md5 *md5, const void *data, u32 bytes);
void MD5Final(u8 *digest, struct md5 *md5);
void SHA1Init(struct sha1 *sha1);
void SHA1Update(struct sha1 *sha1, const void *data, u32 bytes);
void SHA1Final(u8 *digest, struct sha1 *sha1);
void SHA1Transform(u32 *state, const u8 *block);
void hmac_sha1_vector(const u8 *key, u32 key_bytes, u32 parts, const u8 *const *data, const u32 *bytes, u8 *mac);
void hmac_sha1(const u8 *key, u32 key_bytes, const u8 *data, u32 bytes, u8 *mac);

/* Cipher tables are computed at start. */
void cipher_tables_reset(void);
void radio_table_reset(void);

/* Download mode: returns when the host wants a program to run. */
void download_mode(void);
void ets_set_user_start(void (*function)(void));

#endif
