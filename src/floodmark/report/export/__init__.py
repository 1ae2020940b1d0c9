"""Answers in forms that other programs take: columns, text lines, threat intelligence, logs of SIEMs and of Zeek."""
