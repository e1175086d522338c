-- What a node was is what it had: held, overhead and idle are capacity and over-commit, exactly. A
-- difference would be a part of a node that somebody pays for and no line shows.
select x_Cluster, x_HourStart, x_Node, x_NodeResource
from node_load
where x_NodeHeld + coalesce(x_NodeOverhead, 0) + x_NodeIdle
        is distinct from x_NodeCapacity + x_NodeOverCommit
    or x_NodeIdle < 0
    or x_NodeOverhead < 0
