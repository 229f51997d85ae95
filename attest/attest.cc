#include "attest/attest.h"
