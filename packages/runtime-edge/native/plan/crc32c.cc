#include "crc32c.h"

#include <string.h>

namespace dgc::edge {
namespace {

struct Tables {
  uint32_t of[8][256];
};

constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    tables.of[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (int slice = 1; slice < 8; ++slice) {
      const uint32_t previous = tables.of[slice - 1][byte];
      tables.of[slice][byte] = (previous >> 8) ^ tables.of[0][previous & 255];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32c(const void* bytes, size_t size) {
  const uint8_t* at = static_cast<const uint8_t*>(bytes);
  uint32_t crc = ~0u;
  for (; size >= 8; size -= 8, at += 8) {
    uint32_t low, high;
    memcpy(&low, at, 4);
    memcpy(&high, at + 4, 4);
    low ^= crc;
    crc = kTables.of[7][low & 255] ^ kTables.of[6][(low >> 8) & 255] ^ kTables.of[5][(low >> 16) & 255] ^
          kTables.of[4][low >> 24] ^ kTables.of[3][high & 255] ^ kTables.of[2][(high >> 8) & 255] ^
          kTables.of[1][(high >> 16) & 255] ^ kTables.of[0][high >> 24];
  }
  for (; size > 0; --size) crc = (crc >> 8) ^ kTables.of[0][(crc ^ *at++) & 255];
  return ~crc;
}

}  // namespace dgc::edge
