// C++ types of the `.edge` format's ops, derived from edge_schema.inc.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace dgc::edge {

#define EDGE_LIMIT(name, value) constexpr uint32_t k##name = static_cast<uint32_t>(value);
#include "native/edge_schema.inc"

#define EDGE_ENUM_BEGIN(Name) enum class Name : uint32_t {
#define EDGE_ENUM_VALUE(Name, text, code) Name = code,
#define EDGE_ENUM_END() };
#include "native/edge_schema.inc"

// How many values an enumeration has, and their names.
template <typename Enum>
struct EnumInfo;
#define EDGE_ENUM_BEGIN(Enum) \
  template <>                 \
  struct EnumInfo<Enum> {     \
    static constexpr const char* kNames[] = {
#define EDGE_ENUM_VALUE(Name, text, code) text,
#define EDGE_ENUM_END() \
  }                     \
  ;                     \
  }                     \
  ;
#include "native/edge_schema.inc"

template <typename Enum>
constexpr uint32_t enum_count() {
  return sizeof(EnumInfo<Enum>::kNames) / sizeof(const char*);
}

// Lists are views into the file.
struct U32List {
  const uint32_t* data = nullptr;
  uint32_t size = 0;
  uint32_t operator[](size_t index) const { return data[index]; }
  const uint32_t* begin() const { return data; }
  const uint32_t* end() const { return data + size; }
};
struct I32List {
  const int32_t* data = nullptr;
  uint32_t size = 0;
  int32_t operator[](size_t index) const { return data[index]; }
};

#define EDGE_STRUCT_BEGIN(Name) struct Name##Fields {
#define EDGE_STRUCT_END() \
  }                       \
  ;
#define EDGE_OP_BEGIN(Name, text, code, since, minInputs, maxInputs) struct Name##Op {
#define EDGE_OP_END() \
  }                   \
  ;
#define EDGE_U32(name, min, max, since) uint32_t name = 0;
#define EDGE_I32(name, min, max, since) int32_t name = 0;
#define EDGE_F32(name, since) float name = 0;
#define EDGE_ENUM(name, Enum, since) Enum name = Enum(0);
#define EDGE_STRUCT(name, Struct, since) Struct##Fields name;
#define EDGE_U32_LIST(name, min, max, maxLength, since) U32List name;
#define EDGE_I32_LIST(name, min, max, maxLength, since) I32List name;
#define EDGE_CONSTANT(name, optional, since) uint32_t name = kNoTensor;
#include "native/edge_schema.inc"

}  // namespace dgc::edge
