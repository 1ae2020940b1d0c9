"""Export results for other programs: columns, text lines, threat intelligence, SIEM and Zeek logs."""
