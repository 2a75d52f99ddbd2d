"""The strategies that are built in: pure, each made from a Problem and asked with evidence."""
