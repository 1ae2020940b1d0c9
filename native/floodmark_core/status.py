"""Outcomes of packets and records: integer codes that kernels write and count, one per packet.

Codes below :data:`FIRST_REFUSED` are for accepted packets, all others are refusals. `floodmark.captures.problems` names them.
"""

# Outcome of decoding, one per packet.
IN_FLOW = 0  # fully decoded: addresses, and ports if the protocol has them
IN_FLOW_HEADER_CUT = 1  # addresses known, transport or extension header truncated or invalid; ports only if captured
NOT_IP = 2  # a complete link header that carries something else
FIRST_REFUSED = 8
LINK_TYPE_UNKNOWN = 8
LINK_HEADER_CUT = 9  # the capture ends inside the link header
IP_HEADER_CUT = 10  # ... inside the IP header
IP_VERSION_BAD = 11
IP_HEADER_LENGTH_BAD = 12  # IPv4 header length below 20 bytes or beyond the total length
IP_LENGTH_BAD = 13  # IPv6 extension headers run past the packet's own length
INTERFACE_UNKNOWN = 14  # pcapng packet block that names no described interface
OUTCOMES = 16  # size of the counters

# Remarks, which do not refuse a packet; one counter each.
REMARK_TIME_BACKWARD = 0  # earlier than the packet before it, within the reordering window
REMARK_TIME_JUMP_BACK = 1  # earlier by more than the reordering window
REMARK_TIME_JUMP_AHEAD = 2  # later by more than a day
REMARK_TIME_UNUSABLE = 3  # absent, before 1970 or beyond int64 nanoseconds; the packet gets the time of the previous one
REMARK_FRACTION_BAD = 4  # sub-second field of a pcap record beyond its resolution
REMARK_BEYOND_SNAPLEN = 5  # record longer than the snap length that the file declares
REMARK_CAPTURED_BEYOND_WIRE = 6  # captured length greater than the length on the wire
REMARK_IP_LENGTH_BEYOND_FRAME = 7  # IP length greater than the bytes on the wire
REMARK_SNAPLEN_CUT = 8  # fewer bytes captured than were on the wire
REMARK_TRANSPORT_HEADER_BAD = 9  # TCP data offset below 20 bytes or beyond the packet
REMARKS = 16

# Why the reader returned.
STOP_BATCH_FULL = 0  # never leaves the core
STOP_NEEDS_DATA = 1  # the next record is incomplete in this block
STOP_DAMAGED = 2  # the data at the position cannot be a record
STOP_NEEDS_FLOWS = 3  # the flow table must grow first
STOP_NEEDS_ARRIVALS = 4  # the arrivals must grow first
