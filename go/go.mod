module znippy

go 1.19
