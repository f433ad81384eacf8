#pragma once

// The name that the header has where llmos is installed.
#include "actors/client/client.hpp"
