/* The boot ROM's functions, at the addresses of rom.txt. */
#ifndef SLOTBOOT_ROM_H
#define SLOTBOOT_ROM_H

#include "slotboot.h"

/* 0 is success; buffers in RAM, aligned to 4. Bounded by flashchip->chip_size. SPIRead stores whole words. */
u32 SPIRead(u32 at, word *to, u32 bytes);
u32 SPIWrite(u32 at, const word *from, u32 bytes);
u32 SPIEraseSector(u32 sector);
u32 SPIEraseBlock(u32 block);

void ets_printf(const char *format, ...);
void ets_delay_us(u32 us);
u32 rtc_get_reset_reason(void);

/* These go by bytes: what they are given must not lie in instruction RAM. */
void MD5Init(struct md5 *md5);
void MD5Update(struct md5 *md5, const u32 *data, u32 bytes);
void MD5Final(u32 *digest, struct md5 *md5);

/* Its size bounds the ROM's flash calls, later the SDK's and Python's. */
struct chip { word id, size; };
extern struct chip *const flashchip;

#endif
