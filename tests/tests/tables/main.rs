//! Tables on real servers.

use fairlead_tests as _;
