// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as in iSCSI: RFC 3720 appendix B.4.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace dgc::edge {

uint32_t crc32c(const void* bytes, size_t size);

}  // namespace dgc::edge
