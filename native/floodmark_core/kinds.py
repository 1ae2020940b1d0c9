"""Small integers that kernels write into flows and arrivals: traffic kinds, initiator basis, end reasons, stages of a TCP dialogue."""

# Traffic kind of a packet: what arrives at a destination is counted for each kind.
TCP_SYN = 0
TCP_SYNACK = 1
TCP_RST = 2
TCP_FIN = 3
TCP_ACK = 4  # ACK without payload
TCP_DATA = 5
TCP_ODD = 6  # a combination of flags that no TCP state sends
UDP = 7
UDP_FROM_SERVICE = 8  # source port is a service known to be used as a reflector
ICMP_ECHO = 9
ICMP_ECHO_REPLY = 10
ICMP_ERROR = 11  # unreachable, time exceeded, parameter problem
ICMP_OTHER = 12
FRAGMENT = 13  # any fragment but the first
GRE = 14
IPSEC = 15  # ESP and AH
OTHER_IP = 16

# TCP flag bits (RFC 9293 section 3.1).
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128

# Why one end is the initiator.
BASIS_FIRST = 0  # sent the first packet seen
BASIS_SYN = 1
BASIS_SYNACK = 2  # received the SYN-ACK that came first
BASIS_PROTO = 3  # the packet identifies itself as a reply
BASIS_PORT = 4  # the other end has the better known port
BASIS_PARENT = 5  # continues a flow that a timeout ended

# Why a flow ended.
END_CAPTURE = 0  # still open at the last packet
END_IDLE = 1
END_ACTIVE = 2
END_FIN = 3
END_RST = 4
END_REUSE = 5  # a new SYN reused the five-tuple

# Stages that a TCP dialogue has reached, as bits.
STAGE_SYN = 1  # SYN from the initiator
STAGE_SYNACK = 2  # SYN-ACK from the responder
STAGE_ESTABLISHED = 4  # ACK from the initiator after the SYN-ACK, or after its SYN if replies were not captured
STAGE_HEAD_OPEN = 8  # an HTTP request head has begun and not ended
STAGE_FIN_INITIATOR = 16
STAGE_FIN_RESPONDER = 32
STAGE_CLOSED = 64  # lingering after both FINs or an accepted RST
STAGE_HEAD_DONE = 128  # at least one HTTP request head was complete
STAGE_FIN_INITIATOR_ACKED = 256
STAGE_FIN_RESPONDER_ACKED = 512
STAGE_INITIATOR_ACKS = 1024  # the initiator has acknowledged something
STAGE_INITIATOR_SEQ = 2048  # initiator_next_seq is set: a complete TCP header of the initiator was seen
STAGE_RESPONDER_SEQ = 4096

# Rank of a port in the service table that the caller passes; 0 for any other port.
PORT_SERVICE = 1  # a server listens here
PORT_REFLECTOR = 2  # ... over UDP, and is known to be used as a reflector

# A flow's key besides addresses, ports and protocol: its two outermost VLAN tags, 12 bits each, and these bits.
NETWORK_VLAN = 0xFFFFFF
NETWORK_IPV6 = 1 << 24
NETWORK_FRAGMENT = 1 << 25  # later fragments: keyed by addresses and protocol only

NETWORK_TUNNEL = 0xF << 26  # TUNNEL_ of the outermost tunnel around the flow's packets; 0 none
NETWORK_TUNNEL_SHIFT = 26
NETWORK_OUTER_IPV6 = 1 << 30  # ... whose own packets are IPv6
NETWORK_WIDE = NETWORK_IPV6 | NETWORK_TUNNEL  # addresses are in a separate table, not in the row

# Tunnels over IP.
TUNNEL_IP, TUNNEL_IPV6, TUNNEL_ETHERNET, TUNNEL_GRE, TUNNEL_ERSPAN, TUNNEL_VXLAN = 1, 2, 3, 4, 5, 6
TUNNEL_GENEVE, TUNNEL_GTP, TUNNEL_L2TP, TUNNEL_TEREDO, TUNNEL_MPLS = 7, 8, 9, 10, 11

# What is known about a flow's first packet: BASIS_ in the lowest bits, and these.
ORIGIN_BASIS = 7
ORIGIN_FROM_RESPONDER = 8  # the first packet seen was a reply
ORIGIN_HEADER_WHOLE = 16  # the transport header was captured completely and is valid
