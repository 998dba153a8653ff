"""Board records, one TOML file each; read by `edgec.targets.board`."""
