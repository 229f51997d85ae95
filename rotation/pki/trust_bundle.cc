#include "rotation/pki/trust_bundle.h"
