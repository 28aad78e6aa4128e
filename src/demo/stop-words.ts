/** Words too common to say anything about a text. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  `a about above after again against all also although always am among an and another any anyone anything are around as at
  away back be became because become been before behind being below between both but by came can cannot could did do does
  doing done down during each either else enough even ever every everything few first for from further gets get got given
  gives go goes going had has have having he hence her here hers him his how however i if in instead into is it its itself
  just keep kept least less let like made make makes many may me might mine more most much must my neither never new next
  no none nor not nothing now of off often on once one ones only onto or other others otherwise our ours out over own per
  perhaps put rather same say says second see seen several shall she should since so some something still such take taken
  takes than that the their them then there therefore these they thing things third this those though three through thus
  to together too toward two under until up upon us use used uses using very via want was way we well went were what
  whatever when where whether which while who whole whom whose why will with within without would yet you your yours
  http https www com org html`.split(/\s+/),
);

/** Keywords and furniture of the usual programming languages; they would lead every list otherwise. */
export const CODE_WORDS: ReadonlySet<string> = new Set(
  `abstract any args arguments array assert async await bool boolean break case catch char class const constructor continue
  declare def default delete del elif else end enum err error except exec export exports extends extern false final finally
  float for foreach fun func function global goto if impl implements import in include infer instanceof int interface is
  keyof lambda len let local long map mod module mut namespace nil node none not null num number object package param params
  pass private promise protected pub public raise readonly record require return returns self set short static str string
  struct super switch then this throw throws trait true try type typeof types undefined unit unknown unsafe var void
  volatile while with yield length push slice join split index item items key keys val value values tmp foo bar baz
  div span px rem max min count name kind expect describe equal src`.split(/\s+/),
);
