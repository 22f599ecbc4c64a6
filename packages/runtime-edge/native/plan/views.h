#pragma once

#include "plan.h"

namespace dgc::edge {

// What is concatenated along the channels is written into the result at once, and read there, wherever the kernels of all steps
// that touch it can leave out the channels of the others: the copies go. To be called before memory is planned.
void view_concatenations(Plan& plan);

}  // namespace dgc::edge
