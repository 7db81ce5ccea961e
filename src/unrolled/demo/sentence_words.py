"""Words and sentence patterns that `sentence_maker` combines.

A pattern consists of words and slots in braces. Text directly after a slot is attached to its last word.
Slots of people: {full} {first} {last} {any} {titled}.
Slots of ambiguous words: {Name} is the word as a name, {Word} and {word} the same word not as a name, and
{heads} the noun after it.
The other slots are {place}, {org} and the keys of WORDS.
"""

from __future__ import annotations


def words(text: str) -> list[str]:
    """Return the entries of a list of single words."""
    return text.split()


def phrases(text: str) -> list[str]:
    """Return the entries of a list of phrases, which are separated by line ends or bars."""
    return [phrase.strip() for phrase in text.strip().replace("\n", "|").split("|")]


# Names of the test set never occur in the training set.
FIRST = {
    "train": words("""
Aaron Abigail Adele Adrian Agnes Ahmed Aisha Akira Alan Albert Alejandro Alessandra Alexei Alfred Alice Amara Amelia
Amina Amit Anders Andrea Andrew Angela Anika Anita Anneke Antonio Arjun Arthur Astrid Ayumi Barbara Beatriz Benedikt
Bernard Bianca Birgit Boris Brenda Bruno Camila Carlos Carmen Caroline Catherine Cecilia Chandra Charles Chidi Chioma
Christine Clara Claudia Colin Connor Cyrus Dagmar Daniel Daphne David Deborah Deepa Dennis Diana Diego Dimitri Dominic
Donald Dorothy Duncan Edgar Edith Eduardo Edward Eileen Elena Eliza Elizabeth Emeka Emil Emily Enrique Eric Esther Eva
Evelyn Fabio Farah Fatima Felipe Fernando Fiona Florian Francesca Franz Frederick Gabriel Gareth Genevieve George Gerald
Gianni Gisela Giulia Gloria Gordon Greta Guadalupe Gunnar Gustav Hamza Hannah Harold Haruki Hassan Heidi Helen Henrik
Henry Hideo Hilda Hiroshi Howard Hugo Ibrahim Ignacio Ingrid Irene Isaac Isabel Ivan Jacob Jagdish Jamal James Janet
Javier Jelena Jennifer Jerome Joan Johanna John Jonas Jorge Joseph Joshua Juan Judith Julia Kamal Karen Karim Karl
Kateryna Kathleen Kenji Kenneth Khalid Kofi Kwame Lakshmi Lars Latisha Laura Laurent Leila Leonard Leticia Liam Linda
Linh Lorenzo Louise Lucas Lucia Ludwig Magnus Malik Manuel Marcel Margaret Maria Mariam Marta Martin Matthew Maurice
Mehmet Mei Mercedes Michael Miguel Minh Miriam Mohammed Monica Nadia Naomi Natasha Nathan Neil Ngozi Nicholas Nikolai
Nina Noor Olga Oliver Oluwaseun Omar Oscar Otto Pablo Padma Pamela Paolo Patricia Paul Pavel Pedro Peter Petra Philip
Pierre Priya Rachel Rafael Rahul Rajesh Ralph Ramon Rania Raymond Rebecca Renata Ricardo Richard Robert Roberto Rosalind
Ruth Salma Samuel Sandra Sanjay Sarah Sergei Shanthi Sharon Simon Sofia Sonja Stefan Stella Stephen Sunita Susan
Svetlana Tariq Tatiana Teresa Thabo Theodore Thomas Timothy Tobias Tomas Tunde Ulrich Ursula Valentina Vanessa Vera
Vikram Vincent Walter Wanjiru Wei Wilhelm William Xiu Yara Yasmin Yolanda Yusuf Zainab Zoltan
"""),
    "test": words("""
Abdul Ada Adaeze Alberto Aleksander Anton Antonia Ashok Beata Benjamin Bjorn Brigitte Camille Cedric Chiara Christopher
Cornelia Cristobal Damian Danica Darius Delphine Desmond Dolores Edwin Eleanor Elias Emmanuel Erika Ernesto Fadi Felix
Flora Folake Gertrude Gilbert Goran Hanif Helga Hiroko Imran Ines Ivana Jasper Jerzy Jocelyn Josefina Julian Kaito
Katarina Kiran Lamar Leopold Lothar Ludmila Malcolm Marisol Matilda Milan Nigel Nkechi Olivia Osman Pascal Penelope
Quentin Ramona Rashid Reinhard Rodrigo Rosario Sabrina Sakura Sebastian Siobhan Soren Tamika Tanvi Tyrone Umberto
Veronica Viktor Wendy Xavier Yuki Zachary Zofia
"""),
}
LAST = {
    "train": words("""
Abara Abbott Acosta Adeyemi Aguilar Ahmadi Albright Almeida Alvarez Andersen Anderson Aoki Arnold Atkinson Bailey Bakker
Banerjee Barnes Barrett Bauer Becker Bell Bennett Bergmann Bhatt Bianchi Blake Bondarenko Boyd Bradley Brennan Brooks
Brown Bruun Burke Byrne Calloway Campbell Cardoso Carlsson Carpenter Carter Castillo Chang Chatterjee Chavez Clarke
Coleman Collins Conti Cooper Cortez Costa Crawford Cruz Cunningham Dalton Danso Davies Delgado Desai Diallo Diaz Dixon
Dlamini Doyle Dubois Dupont Edwards Ekström Eriksen Espinoza Evans Falk Farouk Fernandes Ferrari Fischer Fitzgerald
Fleming Flores Fontaine Foster Fournier Franklin Fraser Fujita Gallagher Garcia Garner Gibson Girard Goldberg Gomez
Gonzalez Graves Griffin Gupta Gutierrez Haddad Hansen Hargreaves Harper Harrison Hashimoto Hayes Henderson Hernandez
Herrera Hoang Hoffmann Holm Hopkins Horvat Huang Hughes Hussain Ibarra Ito Ivanov Iyer Jackson Jacobsen Jansen Jenkins
Jensen Jimenez Johansson Johnson Jones Joshi Kaczmarek Kamau Kaplan Kapoor Karlsson Kaya Keller Kelly Kennedy Khan Kim
Kimura Kovacs Kowalski Kozlov Kruger Kumar Kuznetsov Lambert Larsen Lawson Lee Lehmann Leroy Levy Lindgren Lopez Lund
MacDonald Mahmoud Maier Malone Marino Marquez Marshall Martinez Mazur McCarthy Medina Mehta Mendes Mendoza Menon Meyer
Miller Mitchell Molina Morales Moreau Moretti Morgan Morris Mukherjee Müller Murphy Murray Mwangi Naidoo Nakamura
Navarro Nelson Nguyen Nielsen Nkosi Novak Nowak O'Brien O'Connor Obi Oduya Okafor Okonkwo Olsen Ortega Ortiz Osei Owens
Ozturk Palmer Papadopoulos Park Parker Patel Pereira Perez Persson Petersen Petrov Pham Phillips Popescu Powell Qureshi
Rahman Ramirez Ramos Rao Reddy Reyes Reynolds Ribeiro Ricci Richardson Rivera Robinson Rodriguez Romano Rossi Roy Ruiz
Russo Ryan Saito Salazar Sanchez Santos Sato Schmidt Schneider Schwartz Sharma Shaw Silva Simmons Singh Sokolov Sorensen
Stewart Sullivan Suzuki Takahashi Tanaka Taylor Thompson Torres Tran Tucker Turner Vargas Vasquez Vega Vogel Volkov
Wagner Walker Wang Washington Watanabe Watson Weber Weiss Wilson Wong Wright Wu Yamamoto Yilmaz Young Zhang Zimmermann
"""),
    "test": words("""
Abernathy Achebe Adler Agarwal Alonso Arslan Baldwin Balogun Bernstein Blanchard Borges Brandt Cabrera Caruso Chowdhury
Christensen Clement Crosby Demir Dimitrov Drummond Eklund Ellington Engel Farrell Ferreira Finch Forsberg Fuentes
Galloway Gerber Goto Greco Halvorsen Hartmann Hidalgo Holloway Ishikawa Jankowski Kasprzak Khoury Kobayashi Kruse
Lancaster Leclerc Lim Lombardi Maguire Mancini Marchetti McKenna Mishra Monroe Nagy Nascimento Ng Nwosu Odhiambo Ogawa
Oliveira Osborne Pacheco Pellegrini Pillai Quinn Radcliffe Rasmussen Renard Rosenthal Saleh Sandoval Schulz Serrano
Sinclair Solberg Sundaram Szabo Thornton Trivedi Ueda Valdez Vandenberg Villanueva Whitaker Wójcik Xu Yamada Zamora
"""),
}
# Ambiguous words: sometimes first names, else followed by one of these nouns.
AMBIGUOUS = {
    "train": phrases("""
Teddy: bears bears bears coats toys jackets slippers collectors factories shops costumes
Angel: investors wings cakes|Art: galleries supplies classes dealers museums|Autumn: leaves colours fairs walks
Bill: collectors payments boards|Bob: haircuts|Buddy: systems movies|Candy: bars shops wrappers|Carol: singers concerts
Cash: machines prizes crops|Chase: scenes sequences|Cherry: trees pies blossoms tomatoes|Clay: pots tiles bricks
Dean: elections interviews|Faith: groups schools healers|Flint: tools arrowheads|Forest: fires paths rangers animals
Frank: talks answers discussions opinions|Gale: warnings winds|Grace: periods notes|Grant: applications proposals
Guy: ropes wires|Hazel: nuts bushes|Herb: gardens teas mixtures|Hope: chests|Iris: scanners bulbs blooms
Jack: plugs rabbits hammers|Jasmine: flowers vines teas|Joy: rides sticks|June: bugs weddings sales|Lane: closures
Laurel: hedges wreaths|Lily: ponds pads bulbs|Major: roads cities changes repairs|Mark: schemes sheets|Mason: jars bees
May: fairs flowers meetings|Melody: lines|Pat: answers phrases|Peg: boards games|Penny: stocks loafers whistles
Ray: guns diagrams|Reed: beds baskets|Rich: desserts soils sauces|Robin: eggs nests songs|Rose: bushes gardens petals
Rusty: nails pipes gates hinges|Sage: leaves|Skip: loaders|Star: charts maps|Stone: walls bridges steps
Summer: camps holidays jobs dresses|Sunny: days rooms afternoons|Tiffany: lamps|Van: drivers doors|Victor: nails
Viola: players lessons strings|Will: readings writers
"""),
    "test": phrases("""
Amber: beads lights|Basil: leaves plants|Cliff: paths houses|Crystal: vases balls|Daisy: chains fields|Dawn: raids
Dusty: roads books shelves|Gene: banks tests therapies|Ginger: biscuits roots|Heather: hills honeys|Holly: branches
Ivy: walls leaves|Miles: signs|Olive: groves trees oils|Pearl: buttons divers necklaces|Rocky: beaches trails coasts
Ruby: rings slippers|Sandy: shores soils|Violet: candles scarves inks|Woody: plants stems
"""),
}
WORDS = {
    "day": words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "month": words("January February March April May June July August September October November December"),
    "nation": words(
        "French Japanese Brazilian Kenyan Indian Polish Mexican Turkish Norwegian Chinese Dutch Greek"
    ),
    "when": phrases("""
Yesterday|Today|Last week|On Monday|On Friday evening|In the morning|Every Sunday|After lunch|Before Christmas|At noon
In the Middle Ages|Two years ago|In May|In June|Once upon a time|Long ago|Later|Now and then
"""),
    "city": phrases("""
Lisbon|Nairobi|Oslo|Toronto|Lima|Kyoto|Delhi|Boston|Vienna|Accra|Seoul|Warsaw|Chicago|Cairo|Dublin|Athens|Hamburg|Osaka
Prague|Denver|Bogotá|Jakarta|Madrid|Naples|Quito|Riga|Sydney|Texas|Ohio|Peru|Kenya|Norway|Japan|Brazil|Canada|Ireland
Iceland|Alaska|Scotland|Tuscany|Bavaria|Brittany|New York|Santa Fe|Cape Town|Buenos Aires|Hong Kong|Los Angeles
South Korea
"""),
    "firm": words("""
Nordwell Brightline Solvanta Quillon Ferrotec Bluepeak Marovia Textora Hexagon Lumenix Kestrel Pinewood Orbita Vantor
Cindra Halcyon Zephyr Redwood Polaris Tidewater
"""),
    "tail": words(
        "Labs Group Bank Airlines Motors Foods Systems Press Steel Insurance Brothers Partners Studios"
    ),
    "spot": words("Street Avenue Bridge Gardens Hall Lake Square Station Museum University"),
    "title": words("Dr. Mr. Mrs. Ms. Professor President Captain Senator Judge Aunt Uncle Sir"),
    "made": words("""
invented built found bought sold painted designed repaired lost described broke discovered carried chose
"""),
    "built": words("invented built found bought sold painted designed repaired described discovered"),
    "saw": words("met saw called thanked visited hired phoned admired helped followed remembered invited"),
    "says": words("says thinks knows believes hopes said thought wrote insisted explained"),
    "moved": words("moved flew drove walked returned travelled went came hurried rode"),
    "adj": words("""
new old small great cheap strange green heavy handy quiet famous broken early bright wooden simple empty electric
curious young warm secret
"""),
    "thing": words("""
engine bicycle lamp bridge clock piano machine recipe theory garden table boat camera kite novel map radio telescope
kitchen ladder window vaccine song painting puzzle sandwich keyboard
"""),
    "things": words("""
engines bicycles lamps clocks pianos machines recipes theories tables boats cameras kites novels maps radios ladders
windows songs paintings puzzles keyboards tickets letters shoes
"""),
    "job": words("""
teacher president doctor nurse pilot baker farmer engineer lawyer painter singer captain judge cook miller carpenter
mayor writer dentist goalkeeper
"""),
    "food": words("soup bread rice cheese fish cake apples noodles pancakes curry salad tea"),
    "animal": words("dog cat horse parrot goat rabbit cow turtle pony duck"),
    "are": phrases("""
are on sale|are cheap in {month}|were sold in {city}|cost too much|have become popular in {city}|are made by {org}
were a great success|sell well|are hard to find|are not what they were|look {adj} in the snow|fill the shops
"""),
    "was": phrases("""
was our {job}|was a great {job}|was born in {place}|was on sale|won in {year}|wrote a {adj} {thing}|lives in {place}
{made} the {adj} {thing}|is a {job}|worked for {org}|sold the {thing}|is not here
"""),
}
# Sentences that do not start with an ambiguous word.
PATTERNS = phrases("""
{full} and {full} {made} a {adj} {thing}
{full} and {full} {saw} {full} in {place}
{full}, {full} and {full} {moved} to {place}
{first} and {first} {made} {things} for {org}
{first} {made} a {thing} in {month}
{full} {moved} from {place} to {place} in {year}
{full} was a {adj} {job}
{full}, a {job} from {place}, {made} the {adj} {thing}
{full} {says} that the {thing} is {adj}
{any} {says} {any} {made} it
{any} gave {any} a {adj} {thing}
{any}'s {thing} was {adj}
{titled} {saw} {titled} on {day}
{titled} of {org} {says} prices will rise
{titled} and {titled} {moved} to {place}
{when} {full} {made} a {thing}
{when} {any} and {any} ate {food} in {city}
{when} {org} hired {full} as a {job}
{when} the {job} {saw} {full}
{when} we {saw} {any} at {org}
{when} nobody {saw} the {adj} {animal}
{when} {org} {made} {num} {things}
{when} the {animal} ate our {food}
The {job} {saw} {full} near {place}
The {job} {made} a {adj} {thing} and a {thing}
The {adj} {job} {full} {moved} to {place}
The {nation} {job} {full} won the prize
The {nation} {things} of {org} are {adj}
The {thing} that {full} {made} is {adj}
The {thing} was {built} by {full}
The {thing} in {place} was {adj}
The {adj} {things} cost {num} dollars in {city}
The letter from {any} to {any} came on {day}
The book by {full} was printed in {city} in {year}
In {month} {full} {moved} to {city}
In {year} {org} {made} a {adj} {thing}
In {city} {full} and {full} play the piano
In {place} the {things} are {adj} and the {things} are {adj}
On {day} {org} and {org} {made} a {adj} {thing}
On {day} {any} will cook {food} for {any}
{org} and {org} {made} a {adj} {thing}
{org} {made} a {adj} {thing} in {city}
{org} {says} that {any} is the new {job}
{org} named {full} its {job}
{org} opened {num} {nation} shops in {month}
{city} and {city} {made} a {adj} treaty
{city} is {adj} in {month}
{day} and {day} are {adj} days in {city}
{month} {num} was a {adj} day for {full}
{nation} {food} is what {first} likes
{nation} and {nation} {things} were sold in {city}
We {saw} {full} and the {animal}
We {saw} {place} and {place} in {year}
We {made} a {thing} with {any}
They {moved} to {place} with {any} and {any}
I think {any} {moved} to {city}
I like {nation} {food} and {nation} {things}
She married {full} in {city}
He asked {any} about {org}
My {job} is called {full}
My {adj} {animal} is named after {full}
Have you seen {any}'s {adj} {animal}?
Have you been to {place} in {month}?
Is {full} still the {job} of {org}?
Does {any} know that {city} is {adj}?
Who {made} the {adj} {thing}, {any} or {any}?
Please give the {thing} to {any}
Please call {titled} before {day}
Thank you, {any}, for the {food}
Dear {first}, the {thing} is in {place}
Happy birthday, {first}
Both {full} and {full} {moved} to {place}
Neither {any} nor {any} {made} the {thing}
Nobody but {full} {saw} the {animal}
Tickets for {city} are sold by {org}
Minutes later {any} {saw} a {adj} {animal}
Young {last} was a {adj} {job}
Young people left {place} in {year}
Old {last} {made} {things} for {org}
There is a {adj} {thing} in {place}
""")
# Patterns that occur only in the test set.
UNSEEN_PATTERNS = phrases("""
{full} taught {full} how to play chess|{any} won against {any} in {place}|{full} quit as {job} of {org} on {day}
{full} studied with {full} at {org}|{titled} spoke to {nation} reporters in {city}
Photographs of {full} hang in {place}|According to {full}, the {thing} never worked
Police in {place} arrested a {nation} {job}|Shares of {org} fell on {day}
Trains from {city} to {place} run every {day}|Without {any} the {nation} team lost to {city}
Everybody in {place} knows {full}|Our guests were {full}, {full} and {titled}|It was {full} who repaired the {thing}
Did {any} really sell the {adj} {animal} to {any}?|When {first} was {num}, {first} left {place}
Of all {nation} {things} this one is the most {adj}|Christmas in {city} is {adj}
""")
# The ambiguous word is a name. In most of these patterns only the next word shows it.
NAME_PATTERNS = phrases("""
{Name} {last} {was}
{Name} {last} {was} and {was}
{Name} {last} and {full} {made} a {adj} {thing}
{Name} {last} {saw} {any} in {place}
{Name} {last} {moved} to {place} in {year}
{Name} {last}, a {job} from {place}, {was}
{Name} {last}'s {thing} was {adj}
{Name} {last} {says} the {things} are {adj}
{Name} and {first} {moved} to {place}
{Name} {made} a {adj} {thing}
{Name} was a {adj} {job}
{full} and {Name} {last} {made} a {adj} {thing}
We {saw} {Name} {last} in {place}
The {job} {saw} {Name} at {org}
""")
# The ambiguous word is not a name.
WORD_PATTERNS = phrases("""
{Word} {heads} {are}
{Word} {heads} {are} and {are}
{Word} {heads} and {things} {are}
{Word} {heads} from {place} {are}
{Word} {heads} in {city} {are}
{Word} {heads} of every kind {are}
{Word} {heads} by {org} {are}
{Word} {heads}, {things} and {word} {heads} {are}
{Word} {heads} were {built} by {any}
{Word} {heads} {are}, {says} {any}
{Word} {things} {are}
We {saw} {word} {heads} in {place}
{any} {made} {word} {heads} for {org}
The {word} {heads} of {org} {are}
""")
# Other sentences that start with an ambiguous word; only in training.
OPENINGS = phrases("""
Art is taught in {city} by {full}|Bill the customer in {month} for the {thing}
Chase the {animal} out of the {adj} garden|Faith in the {adj} {thing} is low in {place}
Frank advice from {org} is {adj}|Grant us more time for the {adj} {thing}|Hope for {place} faded in {month}
Jack up the {adj} {thing} before {day}|Joy filled the streets of {place}|June was {adj} in {place}
Mark the {adj} {thing} with chalk on {day}|May was {adj} in {place}|May we see the {thing} of {any}?
Pat the {adj} {animal} on {day}|Rich people in {place} own {adj} {things}|Skip the chapter on {nation} {things}
Summer in {place} is {adj}|Will it rain in {place} on {day}?|Will {any} sell the {adj} {thing}?
""")
