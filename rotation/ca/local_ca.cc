#include "rotation/ca/local_ca.h"
