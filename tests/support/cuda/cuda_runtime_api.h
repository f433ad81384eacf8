#pragma once
#include "tests/support/cuda/cuda_runtime.h"
