"""What people and machines read: test reports, JUnit, the bisection log, the result."""
