--[[ Gives back every reservation that has run out by the store's clock; answers how many tasks. ]]
--@include prelude
--@include lanes
--@include caps
--@include records
--@include reservations
return expire_reservations(milliseconds(call('TIME')))
