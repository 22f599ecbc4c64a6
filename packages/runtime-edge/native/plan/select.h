// The kernel of a step: the first candidate of the registry that supports its description.
#pragma once

#include "plan.h"

namespace dgc::edge {

// Sets and returns the step's kernel; every registry ends with one that supports everything.
const void* select_kernel(const KernelTable& table, Step& step);

// The instruction set that is asked for: the argument, else DGCONV_ISA of the environment; null: nobody asks for one.
const char* requested_isa(const char* isa);
// The table of the instruction set that is asked for, else of the best that this CPU has; null if it is not there.
const KernelTable* find_kernels(const char* isa);
// All instruction sets that this build and this CPU have, best first, separated by ", ".
const char* available_isas();

}  // namespace dgc::edge
