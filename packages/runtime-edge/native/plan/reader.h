// Reads a `.edge` file in memory: every offset, size, code and range is checked here, so that nothing behind it has to.
#pragma once

#include "array.h"
#include "schema.h"
#include "status.h"

namespace dgc::edge {

struct Text {
  const char* data = "";
  uint32_t size = 0;
};

struct Shape {
  int32_t rank = 0;
  int64_t dims[kMaxRank] = {};

  int64_t elements() const {
    int64_t product = 1;
    for (int32_t i = 0; i < rank; ++i) product *= dims[i];
    return product;
  }
  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int32_t i = 0; i < rank; ++i)
      if (dims[i] != other.dims[i]) return false;
    return true;
  }
};

struct Tensor {
  Shape shape;  // elements() at most kMaxElements
  Text name;
  const float* data = nullptr;  // null: a value, computed or given
};

// One record of the ops section; `visit_op` gives its typed fields.
struct OpRecord {
  uint32_t index = 0;
  uint32_t code = 0;
  uint32_t output = 0;
  U32List inputs;
  const uint32_t* fields = nullptr;
  const uint32_t* fields_end = nullptr;
};

struct Border {
  uint32_t tensor = 0;
  Text name;
};

struct TestVectors {
  uint32_t count = 0;
  // A value may differ by tolerance · the largest magnitude of its output + relative · its own + absolute.
  float tolerance = 0;
  float relative = 0;
  float absolute = 0;
  const float* values = nullptr;  // for each vector all inputs, then all outputs
};

// Views into the bytes that were read: those have to stay alive.
struct File {
  uint32_t minor = 0;
  Array<Tensor> tensors;
  Array<OpRecord> ops;
  Array<Border> inputs;
  Array<Border> outputs;
  Text metadata;
  TestVectors vectors;
};

// `bytes` aligned to 4. Every op's fields are within their ranges, its inputs computed before it, every value produced once.
bool read_file(const void* bytes, size_t size, File& file, Status& status);

const char* op_name(uint32_t code);

namespace detail {

// Walks an op's field words; a failure is told with the op's index and name.
class FieldReader {
 public:
  FieldReader(const OpRecord& op, const File& file, Status& status)
      : op_(op), file_(file), status_(status), at_(op.fields), minor_(file.minor) {}

  bool u32(uint32_t& out, uint32_t min, uint32_t max, uint32_t since, const char* name);
  bool i32(int32_t& out, int32_t min, int32_t max, uint32_t since, const char* name);
  bool f32(float& out, uint32_t since, const char* name);
  bool list(U32List& out, uint32_t min, uint32_t max, uint32_t max_length, uint32_t since, const char* name);
  bool list(I32List& out, int32_t min, int32_t max, uint32_t max_length, uint32_t since, const char* name);
  bool constant(uint32_t& out, bool optional, uint32_t since, const char* name);
  template <typename Enum>
  bool enumeration(Enum& out, uint32_t since, const char* name) {
    uint32_t code = 0;
    if (!u32(code, 0, enum_count<Enum>() - 1, since, name)) return false;
    out = Enum(code);
    return true;
  }
  bool finish();

 private:
  bool word(uint32_t& out, const char* name);

  const OpRecord& op_;
  const File& file_;
  Status& status_;
  const uint32_t* at_;
  uint32_t minor_;
};

#define EDGE_STRUCT_BEGIN(Name) inline bool read_fields(FieldReader& reader, Name##Fields& fields) {
#define EDGE_STRUCT_END() \
  return true;            \
  }
#define EDGE_OP_BEGIN(Name, text, code, since, minInputs, maxInputs)       \
  inline bool read_fields(FieldReader& reader, Name##Op& fields) {         \
    (void)fields;
#define EDGE_OP_END()     \
  return reader.finish(); \
  }
#define EDGE_U32(name, min, max, since) \
  if (!reader.u32(fields.name, min, static_cast<uint32_t>(max), since, #name)) return false;
#define EDGE_I32(name, min, max, since) \
  if (!reader.i32(fields.name, min, max, since, #name)) return false;
#define EDGE_F32(name, since) \
  if (!reader.f32(fields.name, since, #name)) return false;
#define EDGE_ENUM(name, Enum, since) \
  if (!reader.enumeration(fields.name, since, #name)) return false;
#define EDGE_STRUCT(name, Struct, since) \
  if (!read_fields(reader, fields.name)) return false;
#define EDGE_U32_LIST(name, min, max, maxLength, since) \
  if (!reader.list(fields.name, min, static_cast<uint32_t>(max), maxLength, since, #name)) return false;
#define EDGE_I32_LIST(name, min, max, maxLength, since) \
  if (!reader.list(fields.name, min, max, maxLength, since, #name)) return false;
#define EDGE_CONSTANT(name, optional, since) \
  if (!reader.constant(fields.name, optional, since, #name)) return false;
#include "native/edge_schema.inc"

}  // namespace detail

// Calls `visitor(op, fields)` with the fields' type of the op's kind; false if the visitor or a check says so.
template <typename Visitor>
bool visit_op(const OpRecord& op, const File& file, Status& status, Visitor& visitor) {
  detail::FieldReader reader(op, file, status);
  switch (op.code) {
#define EDGE_OP_BEGIN(Name, text, code, since, minInputs, maxInputs) \
  case code: {                                                       \
    Name##Op fields;                                                 \
    return detail::read_fields(reader, fields) && visitor(op, fields); \
  }
#include "native/edge_schema.inc"
    default:
      return status.fail(DGC_UNSUPPORTED, "op %u has the unknown code %u: the file needs a newer version of the runtime", op.index, op.code);
  }
}

}  // namespace dgc::edge
