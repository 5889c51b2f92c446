"""Notes with the sentences that their writers would keep: our own texts, CC0, to judge summaries by.

Decides the test set of the summarizer. Leaves out how summaries are judged (build_notes.py). Each text is
followed by the numbers (from 0) of the two sentences that whoever wrote it would keep.
"""

from __future__ import annotations

from typing import Final

TEXTS: Final[tuple[tuple[str, tuple[int, int]], ...]] = (
    (
        (
            "Arrived at nine after some traffic. The chiller on the roof of building C trips on high pressure "
            "every afternoon. The caretaker was friendly. Its condenser is full of poplar seeds, so the chiller "
            "cannot get rid of its heat. I had coffee with the caretaker. I will wash the condenser on Thursday."
        ),
        (1, 3),
    ),
    (
        (
            "The school wants all its clocks to show the same time again. Three of the clocks lost the signal of "
            "the master clock when the new corridor was built. It is a pretty building from 1912. A repeater for "
            "the clock signal in the corridor would bring them back. The children were on holiday."
        ),
        (1, 3),
    ),
    (
        (
            "Weather was cold but dry. Turbine 4 stops at wind speeds above fourteen metres a second. Its pitch "
            "bearing of blade two sticks, which the turbine takes for a storm. The road to the site is muddy. "
            "Grease helped for one day only, the pitch bearing must be changed. I saw two cranes."
        ),
        (1, 4),
    ),
    (
        (
            "Met the new manager of the bakery. The big oven burns everything in its left half. She likes our "
            "service so far. The fan on the left side of the oven turns backwards since the motor was changed. "
            "I swapped two wires of the fan motor and the oven bakes evenly again. She gave me a loaf."
        ),
        (1, 4),
    ),
    (
        (
            "Parked two streets away. The water meter in the cellar of number 17 counts although nobody uses "
            "water. A toilet on the third floor runs all day and the water meter is right. The stairs were just "
            "painted. The tenant will have the valve of the toilet replaced."
        ),
        (1, 2),
    ),
    (
        (
            "The museum opens at ten. Humidity in the map room rises to seventy percent at night. The maps are "
            "very beautiful. The humidifier of the map room goes on running when the museum closes because its "
            "timer is an hour off. I set the timer and will read the humidity log next week."
        ),
        (1, 3),
    ),
    (
        (
            "Late because of a flat tyre. The parking barrier does not open for electric cars. They hardly make a "
            "sound, joked the guard. The induction loop of the barrier is set for more metal than electric cars "
            "have near the ground. I raised the sensitivity of the loop and twelve cars came through."
        ),
        (1, 3),
    ),
    (
        (
            "Two of us went. Milk in tank 2 of the dairy warms up to nine degrees by morning. The farmer makes "
            "good cheese. The cooling of tank 2 is switched off each night by a timer nobody knew of. We took "
            "the timer out, so the milk of tank 2 stays at four degrees. The dog barked at us."
        ),
        (1, 4),
    ),
    (
        (
            "Hospital, entrance north. Bed lift B moves with doors that are not quite closed. One has to wear a "
            "badge now. The door contact of lift B is bent and tells closed too early. Lift B is out of service "
            "until the door contact is replaced tomorrow. The cafeteria has new chairs."
        ),
        (1, 4),
    ),
    (
        (
            "First visit to this customer. The greenhouse sprays its tomatoes at midnight instead of noon. They "
            "grow well all the same. The controller of the sprayers lost its clock in last week's power cut. I "
            "gave the controller a new battery and set its clock. The tomatoes taste of tomatoes."
        ),
        (1, 4),
    ),
)
