"""`make chaos`: faults against real processes, one by one with measured numbers (cases), and at random (the walk).

    seed -> composition -> clients -> doors of the chain (gateways, cable, proxy, simulator) -> history -> oracle

Pure, and tested by themselves: ``model_faults`` what each fault of the model server may come to · ``hop_fault`` what
the cable does to a hop, said in its request's id · ``composition`` what one run is made of, drawn from its seed ·
``history`` what was seen of it · ``oracle`` what is wrong with that. ``trend`` a slope through samples.

``cable`` a process between a gateway and the proxy · ``arena`` all the processes · ``clients`` what a run's readers
do · ``batch`` some fifty runs side by side, and what becomes of a server meanwhile · ``gate`` what must hold after each
batch · ``walk``, ``soak`` batches one after another, by number and by time · ``cases`` named cases as data, and
``injections`` what measures them · ``report`` what is printed.
"""
