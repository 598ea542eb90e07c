"""Sentences for the synthetic corpus: a small grammar of our own over word lists of our own.

`python -m data_specs.synthetic_talking_head.text --count 10` prints some.
"""

import numpy as np

# ruff: noqa: E501, SIM905 (word lists read better as text)
NOUNS = """
air apple arm army art aunt baby bag ball bank base basket bath beach bear beard bed bee bell belt bench bike bill bird
blanket block blood board boat body bone book boot border boss bottle bottom bowl box boy brain branch bread breakfast
bridge brother brush bucket building bus bush business butter button cabin cake camera camp candle car card carpet cat
ceiling chain chair chalk chance change channel chapter cheese cherry chest chicken child choice church circle city class
clock cloth cloud coach coast coat coffee coin collar college color comb company computer cook corner cotton country couple
court cousin cover cow cream crowd crown cup curtain custom customer dance danger daughter day deal debt degree desert desk
dinner direction discovery dish distance doctor dog dollar door doubt dragon drawer dream dress drink driver drop drum duck
dust duty ear earth edge education effect egg effort elbow engine entrance error evening event example exchange eye face
fact factory failure family farm farmer father fault favor fear feather feature fence field fight figure finger fire fish
flag flame flash flight floor flour flower fog food foot forest fork form fortune frame friend frog fruit future game garden
gate gift girl glass glove goal goat gold government grain grass group growth guard guess guest guide guitar gun habit hair
hall hammer hand harbor hat head health heart heat height hill history hole holiday home honey hope horse hospital hotel
hour house hunger husband ice idea impulse industry ink insect instrument interest invention iron island jacket jail jam
jar jaw jewel job joke journey joy judge juice jump keyboard key king kitchen kite knee knife knot lady lake lamp land
language laugh law lawyer leader leaf leather leg lemon lesson letter level library light limit line lion lip list liver
lock log loss lunch machine magazine mail manager map mark market mass match material meal measure meat meeting member
memory metal method middle milk mind mine minute mirror mistake mixture moment money monkey month moon morning mother
motion mountain mouse mouth movie muscle museum music nail name nation neck need needle neighbor nerve nest net news night
noise north nose note number nurse oak object ocean offer office oil onion opinion orange order oven owner page pain paint
pair palace paper parcel parent park part partner party passenger past path peace pen pencil people pepper person
phone photo piano picture pie piece pig pillow pilot pipe place plan planet plant plate play pleasure pocket poet point
poison police pool porter position potato pot pound powder power president price print prison problem process produce
product profit program project proof property protest pump puppy purpose purse push queen question rabbit radio rail rain
range rat rate ray reason record region relation report rest result reward rhythm rice ring river road robot rock roof room
root rope rose route rule sail salt sand scale school science scissor sea search season seat second secret seed sense
servant shade shadow shape share sheep sheet shelf shell ship shirt shock shoe shop shoulder show side sign signal silk
silver sister size skin skirt sky sleep slope smell smile smoke snake snow soap society sock soldier son song sort sound
soup south space spade speech speed spider sponge spoon spot spring square stage stair stamp star state station steam steel
stem step stick stitch stocking stomach stone store storm story stranger street stretch structure student sugar suit summer
sun supper support surface surprise system table tail talk task taste tax taxi tea teacher team tear television temper
tent test theater theory thing thought thread throat thumb thunder ticket tiger time tin toe tongue tool tooth top touch
towel tower town toy track trade traffic train travel tray treasure treatment tree trick trip trouble truck truth tub turn
twist uncle unit use valley value van vase vegetable vehicle verse vessel vest video view village violin visitor voice
vote voyage wall war wash waste watch water wave wax way weather wedding week weight west wheel whip whistle wife wind
window wine wing winter wire wish witness wolf woman wonder wood wool word work worker world worm worth wound wrist writer
yard year youth zebra zone zoo actor address advice agent airport album alley angle animal ankle answer anchor apartment
audience author autumn avenue award balance balcony balloon bandage barn barrel battery battle bicycle birthday biscuit
blade bomb bonus boundary breath breeze brick budget bull butcher cafe calendar campaign canal capital captain career
carrot cashier castle cathedral cave century chocolate cigar citizen clerk client cliff climate club coal cottage council
creature crew crime crop culture currency deck deer delay delivery dentist detail diamond diet disease district document
dolphin donkey drama drawing election elephant emotion enemy energy engineer envelope episode equipment essay evidence
exam expert explosion eyebrow fashion fever fiction film flavor flood fountain fox freedom fridge fuel furniture gallery
garage garlic gas ghost giant glue goose grammar graph gravity grocery hero highway hockey holder horizon hunter image
income index infant injury inspector item jungle junior justice kettle kingdom kitten ladder laundry lawn layer lecture
legend lens liquid lobby lounge luck magic mansion marble marriage mayor medal medicine melody menu message meter mineral
mission mixer model mood mud mystery nature noodle novel nut oxygen package painter palm panel pardon passage patient
pattern payment pear penguin percent phrase pigeon pilgrim pirate pitch plastic platform poem portrait poster pottery
presence pressure prince prize professor proposal pupil puzzle quality quantity quarter recipe refuge remark rescue resort
resource response restaurant revenge rocket rumor sailor salad salary sample sandwich satellite sauce sausage saw scene
schedule scholar screen script section sector series session shark shelter shield shore shower shrub silence singer site
sketch skill slice slope smog software soil source specimen spirit sport stable stadium staff statue strategy stream
strength stress string studio subject suburb success sunset surgeon swamp switch symbol target teenager temple tennis
territory text texture thief threat throne tissue title tomato topic torch tourist tractor tradition transport tribe
triangle trophy tube tunnel turtle umbrella uniform union universe vacuum valve variety venture victim victory virus vision
volcano volume wagon waiter warning wealth weapon website whale width wizard workshop yogurt
""".split()
VERBS = """
accept add admire admit advise afford agree allow announce annoy answer appear argue arrange arrive ask attack attempt
attend avoid bake balance ban bathe beg behave belong bless blink boast boil borrow bounce bow brush burn bury call
camp care carry carve cause challenge change charge chase check cheer chew choke chop claim clap clean clear climb close
collect comb command compare complain complete concern confess confuse connect consider contain continue copy correct
cough count cover crack crash crawl cross crush cry cure damage dance dare decide decorate delay delight deliver depend
describe deserve destroy detect develop disagree disappear discover divide double doubt drag drain dream dress drop drown
dry dust earn educate employ empty encourage end enjoy enter escape examine excite excuse exist expand expect explain
explode extend face fade fail fasten fear fetch file fill film finish fix flash float flood flow fold follow fool force
form found frame frighten fry gather gaze glow grab grate greet grin grip guarantee guard guess guide hammer hand handle
hang happen harm hate haunt heal heap heat help hook hop hope hover hug hum hunt hurry identify ignore imagine impress
improve include increase influence inform inject injure instruct intend interest interrupt introduce invent invite irritate
jail jam jog join joke judge juggle jump kick kill kiss kneel knit knock knot label land last laugh launch learn level
lick lie lift lighten like list listen live load lock long look love manage march mark marry match matter measure melt
mend mention mess mine miss mix moan move multiply murder nail name need nod note notice number obey object observe obtain
occur offend offer open order owe own pack paint park part pass paste pat pause peel permit phone pick pinch place plan
plant play please plug point poke polish pop possess post pour practice pray preach prefer prepare present preserve press
pretend prevent print produce promise protect provide pull pump punch punish push question queue race rain raise reach
realize receive recognize record reduce reflect refuse regret reject relax release rely remain remember remind remove
repair repeat replace reply report request require rescue retire return rinse risk rob rock roll rot rub ruin rule rush
sail satisfy save scare scatter scold scrape scratch scream screw search seem separate serve settle share shave shelter
shiver shock shop shrug sigh sign signal sin sip ski skip slap slip smash smell smile smoke sneeze sniff snore snow soak
soothe sound spare spark spell spill spoil spot spray sprout squash squeak squeal squeeze stain stamp stare start stay
steer step stir stop store strap strengthen stretch strip stroke stuff subtract succeed suffer suggest suit supply support
suppose surprise surround suspect suspend switch talk tame tap taste tease telephone tempt test thank thaw tick tickle tie
time tip tire touch tour tow trace trade train transport trap travel treat tremble trick trip trot trouble trust try tug
tumble turn twist type unite unlock unpack use vanish visit wail wait walk wander want warm warn wash waste watch water
wave weigh welcome whine whip whirl whisper whistle wink wipe wish wobble wonder work worry wrap wreck wrestle yawn yell
zip zoom
""".split()
PAST_VERBS = """
became began bent bit blew broke brought built bought caught chose came cut dealt dug drew drank drove ate fell fed felt
fought found flew forgot forgave froze got gave went grew heard hid hit held hurt kept knew led left lent let lost made
meant met paid put read rode rang rose ran said saw sold sent shook shone shot shut sang sank sat slept spoke spent spun
stood stole struck swore swept swam swung took taught tore told thought threw understood woke wore won wrote
""".split()
ADJECTIVES = """
able ancient angry anxious awake bad beautiful bent big bitter black blind blue bold brave brief bright broken brown busy
calm careful careless cautious charming cheap cheerful clean clear clever cloudy clumsy cold common complete complex
cool crazy cruel curious curly dangerous dark dead deaf dear deep delicate delicious different difficult dirty distant
dizzy double dry dull eager early easy elderly electric elegant empty equal exact expensive extra faithful false famous
fancy far fast fat feeble female fertile few fierce final fine first fixed flat foolish foreign fragile free frequent fresh
friendly full funny furious future general gentle giant glad good grand grateful gray great greedy green grumpy guilty
handsome happy hard harsh healthy heavy helpful helpless high hollow honest horrible hot huge human hungry icy ill
important innocent itchy jealous jolly joyful juicy kind large last late lazy left light likely little lively living lonely
long loose loud lovely low lucky mad magic male married mean medical mighty military modern naked narrow nasty natural
naughty near neat necessary nervous new nice noisy normal obvious odd old only open opposite ordinary outer pale parallel
patient perfect physical plain pleasant political polite poor popular possible precious present pretty previous private
proper proud public puzzled quick quiet rapid rare raw ready real red regular responsible rich right ripe rough round royal
rude rusty sad safe salty same scary second secret selfish separate serious sharp shiny short shy sick silent silly silver
simple slow small smart smooth social soft solid sore sour special spicy square steady steep sticky stiff strange strict
strong stupid sudden sunny sweet tall tame tender terrible thick thin thirsty thoughtful tight tiny tired tough true ugly
unusual upset urgent useful usual vast violent warm weak wealthy weary wet white whole wicked wide wild wise wonderful
wooden wrong yellow young zealous absent active actual annual artificial average awful basic brilliant central certain
civil classic comfortable constant correct creative current daily decent digital direct domestic dramatic eastern economic
efficient emotional enormous entire essential ethnic eternal excellent external extreme federal financial formal fortunate
genuine global golden historic ideal immediate impossible impressive independent initial inner intense internal joint junior
legal liberal literary local logical main major massive mental minor mobile moral musical mutual national native nuclear
official opening organic original overall particular permanent personal plastic positive potential practical primary
professional pure random reasonable recent relative relevant religious remote rural scientific senior sensible similar
southern specific stable standard successful sufficient suitable technical temporary tropical typical unique upper urban
valuable various visible visual vital western worthy
""".split()
ADVERBS = """
again almost already also always angrily away badly barely bravely briefly brightly calmly carefully certainly clearly
clumsily closely constantly daily deeply easily eagerly early enough equally even evenly eventually everywhere exactly
extremely fairly far fast finally firmly forever forward frankly freely generally gently gladly gracefully greatly happily
hardly hastily heavily here honestly hopefully hungrily immediately instead joyfully just kindly lately later lazily
lightly loudly luckily mainly maybe merely nearly neatly never nicely noisily normally nowhere often once only openly
outside patiently perfectly perhaps playfully politely poorly possibly probably promptly properly quickly quietly quite
rapidly rarely rather really recently roughly sadly safely seldom seriously sharply silently simply sleepily slowly smoothly
softly sometimes somewhere soon still strongly suddenly surely sweetly there thoroughly tightly today together tomorrow
tonight too truly twice upstairs usually very warmly weekly well wildly wisely yesterday yet
""".split()
PREPOSITIONS = """
about above across after against along among around at before behind below beneath beside between beyond by despite down
during except for from in inside into like near of off on onto opposite outside over past since through throughout toward
under until up upon with within without
""".split()
NAMES = """
Adam Alice Amy Andrew Angela Anna Arthur Barbara Ben Betty Bob Brian Carol Charles Chloe Chris Claire Daniel David Diana
Edward Ella Emily Emma Eric Ethan Frank George Grace Hannah Harry Helen Henry Ian Isaac Jack Jacob James Jane Jason Jenny
Joan Joe John Joseph Joyce Judy Julia Karen Kate Kevin Laura Leo Linda Lisa Lucy Luke Maria Mark Martha Mary Matthew
Michael Mike Molly Nancy Nick Nora Oliver Oscar Owen Patrick Paul Peter Philip Rachel Ralph Rebecca Robert Roger Rose Ruth
Ryan Sally Sam Sarah Simon Sophie Steven Susan Thomas Tim Tony Victor Vincent Virginia Walter William Zoe
""".split()
PLACES = """
Africa America Asia Berlin Boston Brazil Canada Chicago China Cuba Denver Egypt England Europe Florida France Germany
Greece India Ireland Israel Italy Japan Kansas Kenya London Mexico Miami Moscow Ohio Oregon Paris Poland Rome Russia
Scotland Spain Sweden Texas Turkey Vermont Vienna Wales Washington
""".split()
SUBJECTS = "I you he she we they it everyone nobody somebody people this that everything something who".split()
OBJECTS = "me you him her us them it everyone nothing something myself himself herself ourselves each other".split()
DETERMINERS = (
    "the a this that my your his her our their every some no any another each the the a".split()
)
PLURAL_DETERMINERS = (
    "the these those my your his her our their some many few all most both several".split()
)
AUXILIARIES = """
can could will would shall should may might must can't couldn't won't wouldn't shouldn't don't didn't did do
""".split()
BE_FORMS = "is was isn't wasn't seems looks becomes will be has been had been could be may have been".split()
CONTRACTIONS = """
I'm you're he's she's it's we're they're I've you've we've they've I'll you'll he'll she'll we'll they'll I'd you'd he'd
that's there's what's let's who's here's
""".split()
LINKS = """
and but or so because although while when if before after since until unless though that where whenever as
""".split()
QUESTIONS = "what who where when why how which whose".split()
OPENERS = """
well now then so look listen yes no oh okay right please sorry thanks hello actually anyway besides however meanwhile
therefore indeed of course for example in fact at last first of all by the way good morning good evening my friends
ladies and gentlemen as you know to be honest on the other hand
""".split()
UNITS = "one two three four five six seven eight nine".split()
TEENS = """
ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
MONTHS = """
January February March April May June July August September October November December Monday Tuesday Wednesday Thursday
Friday Saturday Sunday
""".split()
_VOWELS = "aeiou"


def plural(noun: str) -> str:
    """The regular English plural."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in _VOWELS:
        return noun[:-1] + "ies"
    return noun + "s"


def _doubles(verb: str) -> bool:
    short = len(verb) <= 4 and verb[-1] not in _VOWELS + "wxy" and verb[-2] in _VOWELS
    return short and (len(verb) < 3 or verb[-3] not in _VOWELS)


def past(verb: str) -> str:
    """The regular English past tense."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ied"
    return verb + (verb[-1] if _doubles(verb) else "") + "ed"


def participle(verb: str) -> str:
    """The regular English present participle."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    return verb + (verb[-1] if _doubles(verb) else "") + "ing"


def number_words(number: int) -> str:
    """A number from 1 to 9999 in words."""
    if not 1 <= number <= 9999:
        raise ValueError(f"number: expected 1 to 9999, got {number}")
    words = []
    if number >= 1000:
        words += [UNITS[number // 1000 - 1], "thousand"]
    if number % 1000 >= 100:
        words += [UNITS[number % 1000 // 100 - 1], "hundred"]
    rest = number % 100
    if rest >= 20:
        words.append(TENS[rest // 10 - 2])
        rest %= 10
    if rest >= 10:
        words.append(TEENS[rest - 10])
    elif rest:
        words.append(UNITS[rest - 1])
    return " ".join(words)


class SentenceMaker:
    """Draws sentences from the grammar: loose in meaning, English in its sounds and spelling."""

    def __init__(self, rng: np.random.Generator):
        self._rng = rng

    def _pick(self, words) -> str:
        return words[int(self._rng.integers(len(words)))]

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _noun_phrase(self) -> str:
        kind = self._rng.random()
        if kind < 0.12:
            return self._pick(NAMES)
        adjective = self._pick(ADJECTIVES) + " " if self._chance(0.45) else ""
        if kind < 0.22:
            count = number_words(int(self._rng.integers(2, 10 ** int(self._rng.integers(1, 5)))))
            return f"{count} {adjective}{plural(self._pick(NOUNS))}"
        if kind < 0.45:
            determiner = self._pick(PLURAL_DETERMINERS)
            return f"{determiner} {adjective}{plural(self._pick(NOUNS))}"
        if kind < 0.52:
            return f"{self._pick(NAMES)}'s {adjective}{self._pick(NOUNS)}"
        determiner = self._pick(DETERMINERS)
        phrase = f"{adjective}{self._pick(NOUNS)}"
        if determiner == "a" and phrase[0] in _VOWELS:
            determiner = "an"
        if self._chance(0.1):
            phrase += f" of {self._pick(DETERMINERS[4:10])} {self._pick(NOUNS)}"
        return f"{determiner} {phrase}"

    def _place(self) -> str:
        kind = self._rng.random()
        if kind < 0.15:
            return f"in {self._pick(PLACES)}"
        if kind < 0.25:
            return f"{'in' if self._chance(0.5) else 'last'} {self._pick(MONTHS)}"
        return f"{self._pick(PREPOSITIONS)} {self._noun_phrase()}"

    def _object(self) -> str:
        return self._pick(OBJECTS) if self._chance(0.15) else self._noun_phrase()

    def _verb_phrase(self) -> str:
        kind = self._rng.random()
        verb = self._pick(VERBS)
        adverb = self._pick(ADVERBS) + " " if self._chance(0.2) else ""
        if kind < 0.2:
            return f"{self._pick(BE_FORMS)} {adverb}{self._pick(ADJECTIVES)}"
        if kind < 0.4:
            return f"{adverb}{self._pick(PAST_VERBS)} {self._object()}"
        if kind < 0.55:
            return f"{adverb}{past(verb)} {self._object()}"
        if kind < 0.7:
            return f"{self._pick(AUXILIARIES)} {adverb}{verb} {self._object()}"
        if kind < 0.8:
            return f"{self._pick(('is', 'was', 'are', 'were'))} {participle(verb)} {self._object()}"
        if kind < 0.9:
            return f"{adverb}{plural(verb)} {self._object()}"
        return f"{self._pick(PAST_VERBS)} to {verb} {self._object()}"

    def _clause(self) -> str:
        kind = self._rng.random()
        if kind < 0.1:
            tail = self._pick((participle(self._pick(VERBS)), self._pick(ADJECTIVES)))
            clause = f"{self._pick(CONTRACTIONS)} {tail}"
        else:
            subject = self._pick(SUBJECTS) if kind < 0.45 else self._noun_phrase()
            clause = f"{subject} {self._verb_phrase()}"
        if self._chance(0.35):
            clause += " " + self._place()
        if self._chance(0.15):
            clause += " " + self._pick(ADVERBS)
        return clause

    def _word_list(self) -> str:
        pool = NOUNS + ADJECTIVES + VERBS + ADVERBS + PAST_VERBS + NAMES
        return " ".join(self._pick(pool) for _ in range(int(self._rng.integers(1, 7))))

    def sentence(self) -> str:
        """One sentence with its punctuation; every number is spelled in words."""
        kind = self._rng.random()
        if kind < 0.12:
            return self._word_list() + "."
        if kind < 0.24:
            verb = f"{self._pick(AUXILIARIES)} {self._noun_phrase()} {self._pick(VERBS)}"
            return f"{self._pick(QUESTIONS)} {verb} {self._object()}?"
        if kind < 0.32:
            return f"{self._pick(VERBS)} {self._object()} {self._place()}."
        clause = self._clause()
        if self._chance(0.15):
            clause = f"{self._pick(OPENERS)}, {clause}"
        if self._chance(0.35):
            comma = "," if self._chance(0.4) else ""
            clause += f"{comma} {self._pick(LINKS)} {self._clause()}"
        return clause + self._pick(("." * 8) + "!")


def make_sentences(count: int, *, seed: int) -> list[str]:
    """`count` sentences that depend on `seed` alone."""
    maker = SentenceMaker(np.random.default_rng(seed))
    return [maker.sentence() for _ in range(count)]


def spelling(text: str) -> str:
    """Text as the acoustic network spells it: a to z, apostrophe and single spaces."""
    kept = "".join(c if c.isalpha() or c == "'" else " " for c in text.lower())
    return " ".join(kept.split())


def main(count: int = 20, seed: int = 0) -> None:
    """Print sentences.

    Args:
        count: how many.
        seed: the same seed gives the same sentences.
    """
    for sentence in make_sentences(count, seed=seed):
        print(sentence)


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
